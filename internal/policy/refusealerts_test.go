package policy

import (
	"strings"
	"testing"
)

func TestRefusalsAboutNoise(t *testing.T) {
	const v = "version: 1\n"
	for name, c := range map[string]struct{ text, want string }{
		"mute without a name": {v + "mute: [{zone: UTC, from: \"01:00\", to: \"02:00\"}]\n", "2 mute[0]: has no name"},
		"mute of no time":     {v + "mute: [{name: a, zone: UTC, from: \"01:00\", to: \"01:00\"}]\n", "2 mute[0]: from and to are the same time"},
		"mute twice":          {v + "mute:\n- {name: a, zone: UTC, from: \"01:00\", to: \"02:00\"}\n- {name: a, zone: UTC, from: \"01:00\", to: \"02:00\"}\n", `4 mute[1]: name "a" is used twice, first on line 3`},
		"mute of nobody":      {v + "mute: [{name: a, zone: UTC, from: \"01:00\", to: \"02:00\", channels: [boss]}]\n", `2 mute[0]: channel "boss" is unknown`},
		"mute of nothing":     {v + "mute: [{name: a, zone: UTC, from: \"01:00\", to: \"02:00\", match: {}}]\n", "2 mute[0].match: is empty"},
		"unknown escalation":  {v + "alerts:\n- {minSeverity: high, channels: [console], escalate: {after: 15m, channels: [boss]}}\n", `3 alerts[0]: channel "boss" is unknown`},
		"hasty escalation":    {v + "alerts: [{minSeverity: high, channels: [console], escalate: {after: 10s, channels: [console]}}]\n", "2 alerts[0].escalate.after: is below 1m0s"},
		"endless reminders":   {v + "alerts: [{minSeverity: high, channels: [console], repeat: 10s}]\n", "2 alerts[0].repeat: is below 5m0s"},
		"noise of a word":     {v + "noise: {inhibit: maybe}\n", "2 noise.inhibit: is a string: want true or false"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := strings.Join(refuse(t, c.text), "\n"); !strings.Contains(got, c.want) {
				t.Errorf("got:\n%s\nwant %s", got, c.want)
			}
		})
	}
}
