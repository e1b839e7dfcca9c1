// Package azuretest serves hand-written answers as one Azure over HTTPS, under
// Azure's own host names, for the tests of the adapters. It has no behaviour
// of its own but Key Vault's challenge and a list of what was asked.
//
// It is for tests only; internal/azuresim is the simulator with a world in it.
package azuretest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Token is the static token of the profile; requests without it are refused.
const Token = "test-token"

// Call is one request that carried the token.
type Call struct {
	Method string
	Host   string
	Path   string
	Query  string
	Header http.Header
	Body   string
}

// String returns "METHOD HOST/PATH".
func (c Call) String() string { return c.Method + " " + c.Host + c.Path }

// Azure is a running server. It is safe for concurrent use.
type Azure struct {
	Profile string // path of a cloud profile that dials here
	Addr    string // HOST:PORT

	mu    sync.Mutex
	calls []Call
}

// Calls returns the authorized requests so far.
func (a *Azure) Calls() []Call {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]Call(nil), a.calls...)
}

// Serve starts a server that answers every authorized request by h, and ends
// it with the test.
func Serve(t testing.TB, h http.HandlerFunc) *Azure {
	t.Helper()
	a := &Azure{}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+Token {
			w.Header().Set("WWW-Authenticate", `Bearer authorization="https://login.microsoftonline.com/44444444-4444-4444-4444-444444444444", resource="https://vault.azure.net"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body)) // for h
		a.mu.Lock()
		a.calls = append(a.calls, Call{r.Method, r.Host, r.URL.Path, r.URL.RawQuery, r.Header.Clone(), string(body)})
		a.mu.Unlock()
		h(w, r)
	}))
	cert, root := certificate(t)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	a.Addr = srv.Listener.Addr().String()
	a.Profile = profile(t, a.Addr, root)
	return a
}

func profile(t testing.TB, addr string, root []byte) string {
	t.Helper()
	dir := t.TempDir()
	dial := map[string]string{}
	for _, from := range []string{
		"management.azure.com:443", "login.microsoftonline.com:443",
		"*.vault.azure.net:443", "*.managedhsm.azure.net:443", "*.eventgrid.azure.net:443",
	} {
		dial[from] = addr
	}
	raw, err := json.Marshal(map[string]any{"name": "public", "caFile": "ca.pem", "dial": dial, "token": Token})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "cloud.json")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), root, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// certificate makes a self-signed certificate for Azure's names.
func certificate(t testing.TB) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "azuretest"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"management.azure.com", "login.microsoftonline.com", "*.vault.azure.net", "*.managedhsm.azure.net",
			"*.westeurope-1.eventgrid.azure.net"},
	}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// Payload returns a documented body of the shared payloads, or skips the test
// where they are not at hand.
func Payload(t testing.TB, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "shared", "payloads", "azure", name))
	if err != nil {
		t.Skipf("documented payload %s is not at hand: %v", name, err)
	}
	return string(raw)
}

// Seed gives a fuzz target the documented bodies of the shared payloads, as many
// as are at hand.
func Seed(f *testing.F, names ...string) {
	f.Helper()
	for _, name := range names {
		if raw, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "shared", "payloads", "azure", name)); err == nil {
			f.Add(raw)
		}
	}
}

// JSON answers with a status and a body.
func JSON(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, strings.TrimSpace(body))
}
