package canonical

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestOneByteForm(t *testing.T) {
	type sample struct {
		Z    string            `json:"z"`
		A    int64             `json:"a"`
		Map  map[string]string `json:"map"`
		None *string           `json:"none,omitempty"`
	}
	got, err := JSON(sample{Z: "<a href='x'>&\u2028é\n", A: 9007199254740993, Map: map[string]string{"b": "2", "a": "1", "B": "3"}})
	want := `{"z":"<a href='x'>&\u2028é\n","a":9007199254740993,"map":{"B":"3","a":"1","b":"2"}}`
	if err != nil || string(got) != want {
		t.Errorf("got  %s\nwant %s (%v)", got, want, err)
	}
}

func TestNoTrailingNewline(t *testing.T) {
	for _, v := range []any{nil, "", "text\n", []int{}, map[string]int{}} {
		if b, err := JSON(v); err != nil || len(b) == 0 || b[len(b)-1] == '\n' {
			t.Errorf("%v: %q, %v", v, b, err)
		}
	}
}

func TestWhatCannotBeEncodedIsAnError(t *testing.T) {
	for _, v := range []any{math.NaN(), func() {}, make(chan int)} {
		if b, err := JSON(v); err == nil || b != nil || !strings.HasPrefix(err.Error(), "canonical.JSON: ") {
			t.Errorf("%T: %q, %v", v, b, err)
		}
	}
}

// Decoding and encoding again gives the same bytes, in whatever order the map
// was filled: that is all that a hash of them rests on.
func TestTheFormIsStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "map")
		first, err := JSON(m)
		if err != nil {
			t.Fatal(err)
		}
		var again map[string]string
		if err := json.Unmarshal(first, &again); err != nil {
			t.Fatal(err)
		}
		second, err := JSON(again)
		if err != nil || string(first) != string(second) || Hash(first) != Hash(second) {
			t.Fatalf("%s and %s (%v)", first, second, err)
		}
	})
}

// The vectors are of FIPS 180-2.
func TestHashIsSHA256InHex(t *testing.T) {
	for text, want := range map[string]string{
		"":    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
	} {
		if got := Hash([]byte(text)); got != want {
			t.Errorf("%q: %s", text, got)
		}
	}
}
