package policy_test

import (
	"testing"
	"time"

	"cmkguard/internal/policy"
)

func TestFreeze(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skipf("no time zones on this machine: %v", err)
	}
	night := policy.Freeze{Zone: berlin, From: 2*time.Hour + 30*time.Minute, To: 4 * time.Hour}
	gap := policy.Freeze{Zone: berlin, From: 2 * time.Hour, To: 3 * time.Hour}
	friday := policy.Freeze{Zone: berlin, Weekdays: []time.Weekday{time.Friday}, From: 22 * time.Hour, To: 6 * time.Hour}
	cases := map[string]struct {
		f         policy.Freeze
		at, until string // UTC; until empty: not frozen
	}{
		"winter":                   {night, "2026-01-10T02:00:00Z", "2026-01-10T03:00:00Z"},
		"before it in winter":      {night, "2026-01-10T01:29:59Z", ""},
		"summer, an hour earlier":  {night, "2026-07-10T00:30:00Z", "2026-07-10T02:00:00Z"},
		"gap: begins at 03:00":     {night, "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"},
		"gap: before the skip":     {night, "2026-03-29T00:59:59Z", ""},
		"gap: a window inside it":  {gap, "2026-03-29T01:00:00Z", ""},
		"overlap: first pass":      {gap, "2026-10-25T00:10:00Z", "2026-10-25T02:00:00Z"},
		"overlap: second pass":     {gap, "2026-10-25T01:10:00Z", "2026-10-25T02:00:00Z"},
		"over midnight":            {friday, "2026-01-10T03:00:00Z", "2026-01-10T05:00:00Z"},
		"Saturday night is not it": {friday, "2026-01-10T22:00:00Z", ""},
		"Friday before the night":  {friday, "2026-01-09T20:59:59Z", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at, _ := time.Parse(time.RFC3339, c.at)
			until, frozen := c.f.Frozen(at)
			got := ""
			if frozen {
				got = until.UTC().Format(time.RFC3339)
			}
			if got != c.until {
				t.Errorf("Frozen(%s) until %q, want %q", c.at, got, c.until)
			}
		})
	}
}
