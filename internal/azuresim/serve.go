package azuresim

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// Server is a world on loopback: HTTPS for Azure's hosts, plain HTTP for its
// clock.
type Server struct {
	Addr  string // of the HTTPS listener
	Clock string // URL of the clock
	CA    []byte // PEM
	https *http.Server
	http  *http.Server
}

// Serve starts a Server with a certificate made for it.
func (s *Sim) Serve() (*Server, error) {
	cert, ca, err := certificate()
	if err != nil {
		return nil, err
	}
	quiet := log.New(io.Discard, "", 0) // cut connections are part of the game
	out := &Server{
		CA:    ca,
		https: &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second, ErrorLog: quiet},
		http:  &http.Server{ReadHeaderTimeout: 10 * time.Second, ErrorLog: quiet},
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	cl, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /clock", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, s.clock.Now().Format(time.RFC3339Nano))
	})
	out.http.Handler = mux
	out.Addr, out.Clock = l.Addr().String(), "http://"+cl.Addr().String()+"/clock"
	go func() {
		_ = out.https.Serve(tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}))
	}()
	go func() { _ = out.http.Serve(cl) }()
	return out, nil
}

// Close ends the server.
func (v *Server) Close() {
	_ = v.https.Close()
	_ = v.http.Close()
}

// WriteProfile writes the CA and a cloud profile that leads to this server into
// the directory and returns the profile's path.
func (v *Server) WriteProfile(dir, token string) (string, error) {
	ca, path := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cloud.json")
	if err := os.WriteFile(ca, v.CA, 0o600); err != nil {
		return "", err
	}
	raw, err := json.MarshalIndent(map[string]any{
		"name": "simulated", "authority": "https://login.microsoftonline.com/", "arm": "https://management.azure.com",
		"armAudience": "https://management.core.windows.net/", "vaultSuffixes": []string{".vault.azure.net"},
		"hsmSuffixes": []string{".managedhsm.azure.net"}, "vaultAudience": "https://vault.azure.net",
		"gridAudience": "https://eventgrid.azure.net", "portal": "https://portal.azure.com",
		"caFile": ca, "token": token, "clock": v.Clock,
		"dial": map[string]string{
			"login.microsoftonline.com:443": v.Addr, "management.azure.com:443": v.Addr, "*.vault.azure.net:443": v.Addr,
			"*.managedhsm.azure.net:443": v.Addr, "*.eventgrid.azure.net:443": v.Addr,
		},
	}, "", "  ")
	if err != nil {
		return "", err
	}
	return path, os.WriteFile(path, raw, 0o600)
}

// certificate makes a CA and a certificate for Azure's hosts. Its dates are the
// real clock's: TLS knows no simulated one.
func certificate() (tls.Certificate, []byte, error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	from := time.Now().Add(-time.Hour)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "simulated Azure"}, NotBefore: from, NotAfter: from.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: from, NotAfter: from.AddDate(1, 0, 0),
		DNSNames: []string{"login.microsoftonline.com", "management.azure.com", "*.vault.azure.net", "*.managedhsm.azure.net", "*.eventgrid.azure.net", "*.westeurope-1.eventgrid.azure.net"},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, caKey)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	pemCA := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pemCA, nil
}
