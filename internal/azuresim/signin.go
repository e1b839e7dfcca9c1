package azuresim

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"time"
)

// keyID names the directory's one signing key.
const keyID = "sim-key-1"

// SignIn returns an access token as Entra issues it for a person who signed in:
// signed by the directory's key, valid for an hour [D: access token claims
// reference]. claims are added to it and take the place of what is there; a nil
// value takes a claim away.
func (s *Sim) SignIn(objectID, audience string, claims map[string]any) string {
	now := s.clock.Now()
	body := map[string]any{
		"aud": audience, "iss": "https://login.microsoftonline.com/" + s.o.TenantID + "/v2.0", "tid": s.o.TenantID, "oid": objectID,
		"preferred_username": objectID[len(objectID)-2:] + "@example.com", "scp": "Approvals.Decide", "roles": []string{"CMKGuard.Approver"},
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(), "ver": "2.0", "sub": objectID,
	}
	maps.Copy(body, claims)
	for name, v := range body {
		if v == nil {
			delete(body, name)
		}
	}
	head := segment(map[string]any{"alg": "RS256", "typ": "JWT", "kid": keyID})
	signed := head + "." + segment(body)
	sum := sha256.Sum256([]byte(signed))
	raw, err := rsa.SignPKCS1v15(rand.Reader, s.directoryKey(), crypto.SHA256, sum[:])
	if err != nil {
		return "" // unreachable: the key is ours and the digest has its length
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(raw)
}

func segment(v map[string]any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return "" // unreachable: plain values
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// directoryKey is made when it is first needed.
func (s *Sim) directoryKey() *rsa.PrivateKey {
	s.signing.Do(func() { s.signingKey, _ = rsa.GenerateKey(rand.Reader, 2048) })
	return s.signingKey
}

// keySet is what the directory publishes [D: OpenID Connect discovery, jwks_uri].
func (s *Sim) keySet() map[string]any {
	k := s.directoryKey().PublicKey
	b64 := base64.RawURLEncoding.EncodeToString
	return map[string]any{"keys": []any{map[string]any{
		"kty": "RSA", "use": "sig", "kid": keyID, "n": b64(k.N.Bytes()), "e": b64(big.NewInt(int64(k.E)).Bytes()),
	}}}
}
