package entra_test

import (
	"strings"
	"testing"

	"cmkguard/internal/azuresim"
	"cmkguard/internal/fault"
)

// No text but a token that the directory signed proves anybody, and no error tells
// what stood in it.
func FuzzPerson(f *testing.F) {
	sim := azuresim.New(azuresim.Options{})
	v := verifier(&testing.T{}, sim)
	good := sim.SignIn(ann, audience, nil)
	parts := strings.Split(good, ".")
	for _, s := range []string{
		good, "", "a.b.c", parts[0] + "." + parts[1] + ".", b64(`{"alg":"none"}`) + "." + parts[1] + ".", hs256(parts[1]), "Bearer " + good, good + ".x.y",
		b64(`{"alg":"RS256","kid":"../../x","jku":"https://evil.example"}`) + "." + parts[1] + "." + parts[2],
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, token string) {
		p, err := v.Person(t.Context(), token)
		if err == nil {
			if token != good && !strings.HasPrefix(token, parts[0]+"."+parts[1]+".") {
				t.Fatalf("%q proves %+v", token, p)
			}
			return
		}
		if !fault.Is(err, fault.Denied) || p.Object != "" {
			t.Fatalf("%+v, %v", p, err)
		}
		if body := strings.SplitN(token, ".", 3); len(body) == 3 && len(body[1]) > 40 && strings.Contains(err.Error(), body[1]) {
			t.Fatalf("the error tells the token: %v", err)
		}
	})
}
