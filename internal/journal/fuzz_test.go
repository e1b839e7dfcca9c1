package journal

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"cmkguard/internal/fault"
)

// Only what our own key signed is a checkpoint, and keys that cannot be read are
// refused.
func FuzzCheckpoint(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		f.Fatal(err)
	}
	pemKey := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	signer, text, err := ParseKey(pemKey)
	if err != nil {
		f.Fatal(err)
	}
	v, err := NewVerifier(text)
	if err != nil {
		f.Fatal(err)
	}
	body := origin + "\n7\n" + strings.Repeat("A", 43) + "=\n"
	signed, err := note.Sign(&note.Note{Text: body}, signer)
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range [][]byte{signed, []byte(body), []byte(text), []byte(origin + "\n-1\nx\n"), []byte(origin + "+00000000+AAAA"), pemKey, bytes.Replace(signed, []byte("\n7\n"), []byte("\n8\n"), 1), {}} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if cp, err := verifyNote(raw, v); err == nil && (!strings.HasPrefix(string(raw), body) || cp.Size != 7) {
			t.Fatalf("%q is taken for ours: %+v", raw, cp)
		}
		if cp := parseCheckpoint(string(raw)); cp.Note != nil && !bytes.Equal(cp.Note, raw) {
			t.Fatalf("%+v of %q", cp, raw)
		}
		if _, err := NewVerifier(string(raw)); err != nil && !fault.Is(err, fault.Invalid) {
			t.Fatal(err)
		}
		if _, _, err := ParseKey(raw); err != nil && !fault.Is(err, fault.Invalid) {
			t.Fatal(err)
		}
	})
}
