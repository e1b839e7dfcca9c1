package event

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestEpochForms(t *testing.T) {
	want := time.Unix(1800000000, 0).UTC()
	for _, v := range []string{`1800000000`, `1.8e9`, `1800000000.0`, `1800000000.999`, `"1800000000"`, `" 1800000000 "`, `"1.8E+9"`} {
		s := one(t, gridEvent(`"1796083200"`, v))
		if s.Expires == nil || !s.Expires.Equal(want) {
			t.Errorf("EXP %s: got %v", v, s.Expires)
		}
	}
	for _, v := range []string{`null`, `""`} {
		if s := one(t, gridEvent(`"1796083200"`, v)); s.Expires != nil {
			t.Errorf("EXP %s: got %v", v, s.Expires)
		}
	}
	if s := one(t, gridEvent(`"EXP":"1796083200"`, `"other":1`)); s.Expires != nil || s.NotBefore == nil {
		t.Errorf("absent EXP: got %+v", s)
	}
	if s := one(t, gridEvent("1764547200", "0")); s.NotBefore == nil || s.NotBefore.Unix() != 0 {
		t.Errorf("NBF 0: got %v", s.NotBefore)
	}
	// The whole second must survive: float32 would make 1700088832 of it.
	if s := one(t, gridEvent("1764547200", "1700088798")); s.NotBefore.Unix() != 1700088798 {
		t.Errorf("NBF: got %d", s.NotBefore.Unix())
	}
}

func TestEpochRefusals(t *testing.T) {
	for _, v := range []string{
		`"NaN"`, `"Inf"`, `"-Inf"`, `"0x1p3"`, `"1_000"`, `-1`, `253402300800`, `1e400`, `"1e400"`, `true`, `[]`, `{}`,
		`"2026-11-01T00:00:00Z"`, `"e"`, `" "`, `"--1"`,
	} {
		if got := rejected(t, gridEvent(`"1796083200"`, v)); len(got) != 1 || !strings.HasPrefix(got[0], "data.EXP: ") || !strings.Contains(got[0], "want seconds since 1970") {
			t.Errorf("EXP %s: %q", v, got)
		}
	}
}

func TestTimeForms(t *testing.T) {
	want := time.Date(2026, 11, 1, 0, 5, 12, 0, time.UTC)
	for _, v := range []string{
		"2026-11-01T00:05:12Z", "2026-11-01T00:05:12.0000000Z", "2026-11-01t00:05:12z", "2026-11-01T05:35:12+05:30",
		"2026-10-31T19:05:12-0500", "2026-11-01T00:05:12", "2026-11-01 00:05:12Z", "2026-11-01 00:05:12", " 2026-11-01T00:05:12Z ",
	} {
		got := one(t, gridEvent("2026-11-01T00:05:12.1234567Z", v)).Time
		if !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("%s: got %v", v, got)
		}
	}
	if got := one(t, gridEvent(`"eventTime"`, `"other"`)).Time; !got.IsZero() {
		t.Errorf("absent: got %v", got)
	}
	for _, v := range []string{"9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00", "11/01/2026 00:05:12", "1796083200", "2026-13-01T00:00:00Z"} {
		if got := rejected(t, gridEvent("2026-11-01T00:05:12.1234567Z", v)); !strings.Contains(got[0], "want RFC 3339") {
			t.Errorf("%s: %q", v, got)
		}
	}
}

func TestSignalSurvivesStorage(t *testing.T) {
	want := wantSignal()
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Signal
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if got.DedupKey() != want.DedupKey() || got.Key != want.Key || !got.Vault.Equal(want.Vault) || !got.Expires.Equal(*want.Expires) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if s := want.Subject.String(); s != "key:kv-orders.vault.azure.net/orders-kek" {
		t.Errorf("subject %q", s)
	}
}

func TestDepthLooksThroughStrings(t *testing.T) {
	for text, want := range map[string]int{
		`{}`: 1, `{"a":[{}]}`: 3, `{"a":"[[[[\"[["}`: 1, `{"\\":[]}`: 2, `7`: 0, `[],[]`: 1,
	} {
		if got := depth([]byte(text)); got != want {
			t.Errorf("%s: got %d, want %d", text, got, want)
		}
	}
}

func TestClipKeepsWholeRunes(t *testing.T) {
	got := clip(strings.Repeat("a", 299) + "é" + strings.Repeat("b", 50))
	if got != strings.Repeat("a", 299)+"..." {
		t.Errorf("got %q", got)
	}
}
