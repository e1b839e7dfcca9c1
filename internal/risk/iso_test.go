package risk

import (
	"testing"
	"time"
)

func TestParsePeriod(t *testing.T) {
	from := time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"P90D": "2026-05-01T00:00:00Z", "P3M": "2026-05-01T00:00:00Z", "PT48H": "2026-02-02T00:00:00Z", "P1Y10D": "2027-02-10T00:00:00Z",
		"p2w": "2026-02-14T00:00:00Z", "P1DT2H3M4S": "2026-02-01T02:03:04Z",
	} {
		p, err := parsePeriod(text)
		if got := p.after(from).Format(time.RFC3339); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "P", "PT", "90D", "P90", "PD", "P-1D", "P1H", "PT1D", "P999999D", "P1D ", "P1.5D", "PTT1H", "P\xff1D"} {
		if p, err := parsePeriod(text); err == nil {
			t.Errorf("%q was read as %+v", text, p)
		}
	}
}

func FuzzParsePeriod(f *testing.F) {
	f.Add("P90D")
	f.Add("P1Y2M3W4DT5H6M7S")
	f.Fuzz(func(t *testing.T, text string) {
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		if p, err := parsePeriod(text); err == nil && len(text) < 12 && p.after(at).Before(at) {
			t.Errorf("%q goes back in time", text)
		}
	})
}
