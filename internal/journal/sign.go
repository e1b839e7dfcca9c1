package journal

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"cmkguard/internal/fault"
)

// origin is the key's and the log's name in every checkpoint.
const origin = "cmkguard/journal"

// algECDSA is the note format's algorithm byte for ECDSA; P-256 because Key
// Vault can hold such a key and has no Ed25519.
const algECDSA = 2

type signer struct {
	key *ecdsa.PrivateKey
	verifier
}

type verifier struct {
	pub  *ecdsa.PublicKey
	hash uint32
}

func newVerifier(pub *ecdsa.PublicKey) (verifier, []byte, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return verifier{}, nil, err
	}
	sum := sha256.Sum256(append([]byte(origin+"\n"), append([]byte{algECDSA}, der...)...))
	return verifier{pub: pub, hash: binary.BigEndian.Uint32(sum[:4])}, der, nil
}

func (v verifier) Name() string    { return origin }
func (v verifier) KeyHash() uint32 { return v.hash }

func (v verifier) Verify(msg, sig []byte) bool {
	sum := sha256.Sum256(msg)
	return ecdsa.VerifyASN1(v.pub, sum[:], sig)
}

func (s signer) Sign(msg []byte) ([]byte, error) {
	sum := sha256.Sum256(msg)
	return s.key.Sign(nil, sum[:], crypto.SHA256) // deterministic (RFC 6979): no randomness to run out of
}

// text is the verifier's form for people: name+hash+base64(algorithm, key).
func verifierText(v verifier, der []byte) string {
	return fmt.Sprintf("%s+%08x+%s", origin, v.hash, base64.StdEncoding.EncodeToString(append([]byte{algECDSA}, der...)))
}

// LoadOrCreateKey reads the local signing key (PKCS#8 PEM), or makes it with
// mode 0600, and returns the verifier key that auditors keep elsewhere.
func LoadOrCreateKey(path string, rand io.Reader) (note.Signer, string, error) {
	key, err := readKey(path)
	if errors.Is(err, os.ErrNotExist) {
		key, err = createKey(path, rand)
	}
	if err != nil {
		return nil, "", err
	}
	return signerOf(key)
}

// ParseKey returns the signer of a PKCS#8 PEM, and its verifier key.
func ParseKey(pem []byte) (note.Signer, string, error) {
	key, err := parseKey("the key", pem)
	if err != nil {
		return nil, "", err
	}
	return signerOf(key)
}

func signerOf(key *ecdsa.PrivateKey) (note.Signer, string, error) {
	v, der, err := newVerifier(&key.PublicKey)
	if err != nil {
		return nil, "", err
	}
	return signer{key: key, verifier: v}, verifierText(v, der), nil
}

func readKey(path string) (*ecdsa.PrivateKey, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parseKey(path, raw)
}

func parseKey(path string, raw []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, fault.New(fault.Invalid, "journal.key", "%s is not PEM", path)
	}
	any, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fault.New(fault.Invalid, "journal.key", "%s: %w", path, err)
	}
	key, ok := any.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fault.New(fault.Invalid, "journal.key", "%s is not an ECDSA P-256 key", path)
	}
	return key, nil
}

// createKey writes the key beside its place and links it there, so that of two
// processes that start at once one wins and both use the same key.
func createKey(path string, rand io.Reader) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "journal-key-*")
	if err != nil {
		return nil, err
	}
	defer os.Remove(tmp.Name())
	err = errors.Join(pem.Encode(tmp, &pem.Block{Type: "PRIVATE KEY", Bytes: der}), tmp.Sync(), tmp.Close())
	if err != nil {
		return nil, err
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	return readKey(path)
}

// VerifierOf returns the verifier key of the signing key in the file. It proves
// nothing against somebody who could have replaced the file.
func VerifierOf(path string) (string, error) {
	key, err := readKey(path)
	if err != nil {
		return "", err
	}
	_, text, err := signerOf(key)
	return text, err
}

// NewVerifier parses a verifier key.
func NewVerifier(text string) (note.Verifier, error) {
	const op = "journal.NewVerifier"
	parts := strings.SplitN(strings.TrimSpace(text), "+", 3)
	if len(parts) != 3 || parts[0] != origin {
		return nil, fault.New(fault.Invalid, op, "want %s+HASH+KEY", origin)
	}
	raw, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(raw) < 2 || raw[0] != algECDSA {
		return nil, fault.New(fault.Invalid, op, "the key is not base64 of an ECDSA key")
	}
	any, err := x509.ParsePKIXPublicKey(raw[1:])
	if err != nil {
		return nil, fault.New(fault.Invalid, op, "%w", err)
	}
	pub, ok := any.(*ecdsa.PublicKey)
	if !ok {
		return nil, fault.New(fault.Invalid, op, "not an ECDSA key")
	}
	v, _, err := newVerifier(pub)
	if err != nil || fmt.Sprintf("%08x", v.hash) != parts[1] {
		return nil, fault.New(fault.Invalid, op, "the hash does not fit the key")
	}
	return v, nil
}
