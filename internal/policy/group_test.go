package policy

import (
	"slices"
	"testing"
	"time"
)

func TestGroupsAndStorms(t *testing.T) {
	const channels = "version: 1\nchannels:\n- {name: chat, kind: slack, secretRef: KEY, group: {by: [vault, severity], wait: 1m}}\n" +
		"- {name: mail, kind: email, server: \"a:25\", from: a@b.c, to: [a@b.c], group: {interval: 1h}}\n" +
		"- {name: pager, kind: pagerduty, secretRef: KEY}\n- {name: prom, kind: alertmanager, url: \"https://a\"}\n- {name: log, kind: console}\n"
	p := parse(t, channels)
	chat, _ := p.Channel("chat")
	if g := chat.Group; g == nil || !slices.Equal(g.By, []string{"vault", "severity"}) || g.Wait != time.Minute || g.Interval != 5*time.Minute {
		t.Errorf("%+v", g)
	}
	mail, _ := p.Channel("mail")
	if g := mail.Group; g == nil || !slices.Equal(g.By, []string{"vault"}) || g.Wait != 30*time.Second || g.Interval != time.Hour {
		t.Errorf("%+v", g)
	}
	if pager, _ := p.Channel("pager"); pager.Group != nil {
		t.Error("grouped though nobody asked for it")
	}
	for name, want := range map[string]bool{"chat": true, "mail": true, "pager": true, "prom": false, "log": false, "nobody": false} {
		s, ok := p.Storm(name)
		if ok != want || ok && (s.More != 20 || s.Within != 10*time.Minute) {
			t.Errorf("%s: %+v %v", name, s, ok)
		}
	}
	if s, ok := parse(t, channels+"noise: {storm: {more: 7}}\n").Storm("chat"); !ok || s.More != 7 || s.Within != 10*time.Minute {
		t.Errorf("%+v %v", s, ok)
	}
	if _, ok := parse(t, channels+"noise: {storm: false}\n").Storm("chat"); ok {
		t.Error("switched off")
	}
	if _, ok := parse(t, channels+"noise: {storm: true, inhibit: true}\n").Storm("chat"); !ok {
		t.Error("switched on")
	}
}
