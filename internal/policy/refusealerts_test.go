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
		"group of a pager":    {v + "channels:\n- {name: p, kind: pagerduty, secretRef: KEY, group: {by: [vault]}}\n", "3 channels[0]: is of kind pagerduty with a group: its receiver keeps each alert by its key, to acknowledge and resolve it; want no group here"},
		"group of incidents":  {v + "channels:\n- {name: p, kind: alertmanager, url: \"https://a\", group: {wait: 30s}}\n", "3 channels[0]: is of kind alertmanager with a group: its receiver keeps"},
		"group of a topic":    {v + "channels:\n- {name: p, kind: eventgrid, url: \"https://a\", group: {wait: 30s}}\n", "3 channels[0]: is of kind eventgrid with a group: its receiver keeps"},
		"group of a program":  {v + "channels:\n- {name: p, kind: webhook, url: \"https://a\", secretRef: KEY, group: {wait: 30s}}\n", "3 channels[0]: is of kind webhook with a group: a program takes each alert by itself"},
		"group of a log":      {v + "channels:\n- {name: p, kind: console, group: {wait: 30s}}\n", "3 channels[0]: is of kind console with a group: a program takes"},
		"group by the moon":   {v + "channels:\n- {name: p, kind: slack, secretRef: KEY, group: {by: [moon]}}\n", `3 channels[0].group.by[0]: "moon" is nothing to group by: want one of vault, key, check`},
		"group by nothing":    {v + "channels:\n- {name: p, kind: slack, secretRef: KEY, group: {by: []}}\n", "3 channels[0].group.by: is an empty list"},
		"group without haste": {v + "channels:\n- {name: p, kind: slack, secretRef: KEY, group: {wait: 1h}}\n", "3 channels[0].group.wait: is 1h0m0s: want from 5s to 10m0s"},
		"group in haste":      {v + "channels:\n- {name: p, kind: slack, secretRef: KEY, group: {interval: 5s}}\n", "3 channels[0].group.interval: is 5s: want from 1m0s to 24h0m0s"},
		"storm of one":        {v + "noise: {storm: {more: 1}}\n", "2 noise.storm.more: "},
		"storm of a week":     {v + "noise: {storm: {within: 7d}}\n", "2 noise.storm.within: is 168h0m0s: want from 1m0s to 1h0m0s"},
		"storm of a word":     {v + "noise: {storm: maybe}\n", "2 noise.storm: is a string: want true or false"},
		"storm of something":  {v + "noise: {storm: {most: 3}}\n", "2 noise.storm.most: is unknown"},
		"noise of a word":     {v + "noise: {inhibit: maybe}\n", "2 noise.inhibit: is a string: want true or false"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := strings.Join(refuse(t, c.text), "\n"); !strings.Contains(got, c.want) {
				t.Errorf("got:\n%s\nwant %s", got, c.want)
			}
		})
	}
}
