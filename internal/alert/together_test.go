package alert_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cmkguard/internal/alert"
	"cmkguard/internal/risk"
)

// gathers sets the bench's rules: the chat is grouped by vault, and both channels tell a
// storm as one from a few messages on.
func (k *desks) gathers(more int) {
	k.rules.Group = func(a alert.Alert, channel string) (alert.Group, bool) {
		return alert.Group{Key: a.Vault, Name: "vault " + a.Vault, Wait: 30 * time.Second, Every: 5 * time.Minute}, channel == "chat" && a.Vault != ""
	}
	k.rules.Storm = func(channel string) alert.Storm {
		return alert.Storm{More: more, Within: 10 * time.Minute, Keeps: channel == "pager"}
	}
	k.d = k.boot()
}

// sound checks what a channel got of the incidents of the partitions: each alert was told
// once, by itself or in a message about several, or stands folded in what arrived, or is
// dropped and nobody heard of it; in the order of each incident; and its receiver knows
// how each stands. The same message may come again as often as doubles says, by its id.
func (k *desks) sound(channel string, doubles int, partitions ...string) (problems []string) {
	bad := func(format string, args ...any) {
		problems = append(problems, channel+": "+fmt.Sprintf(format, args...))
	}
	by := map[string][]string{}      // messages that carry an alert
	order := map[string][]string{}   // alerts of an incident, as they arrived
	last := map[string]alert.Alert{} // of a key
	seen := map[string]int{}
	for _, a := range k.chans[channel].got {
		if seen[a.ID]++; seen[a.ID] > 1 {
			doubles--
			continue
		}
		last[a.DedupKey] = a
		for _, m := range append([]alert.Member{{ID: a.ID, DedupKey: a.DedupKey}}, a.Members...) {
			by[m.ID] = append(by[m.ID], a.ID)
			order[m.DedupKey] = append(order[m.DedupKey], m.ID)
		}
	}
	if doubles < 0 {
		bad("%d messages came twice too often", -doubles)
	}
	for _, part := range partitions {
		for _, n := range k.outbox(part) {
			if n.Channel != channel || n.Stands > 0 || n.Alert.Check != "CMK-050" {
				continue
			}
			carried := by[n.Alert.ID]
			switch {
			case len(carried) > 1:
				bad("%s was told by %v", n.Alert.ID, carried)
			case n.State == alert.Sent && !slices.Equal(carried, []string{n.Alert.ID}):
				bad("%s has a receipt, and was told by %v", n.Alert.ID, carried)
			case n.State == alert.Folded && seen[n.Into] == 0:
				bad("%s is folded into %s, which never arrived", n.Alert.ID, n.Into)
			case n.State == alert.Dropped && len(carried) > 0:
				bad("%s is dropped as if nobody knew, and was told by %v", n.Alert.ID, carried)
			case n.State == alert.Pending || n.State == alert.Poison:
				bad("%s is %s in the end (%s)", n.Alert.ID, n.State, n.LastError)
			}
		}
	}
	for key, ids := range order {
		if strings.Contains(key, "CMK-050") && !slices.IsSorted(ids) {
			bad("out of order, of %s: %v", key, ids)
		}
	}
	for key, a := range last {
		if channel == "pager" && a.Check != alert.CheckChannel && a.Lifecycle != alert.Resolve && a.Lifecycle != alert.Notice {
			bad("%s is open in the end: %s", key, a.Title)
		}
	}
	return problems
}

// togetherDown is the story in which the process is killed once: eight incidents of one
// vault open, while both channels are down for an hour; some get worse, and all end.
func togetherDown(t *testing.T, kill *killer) (*desks, []string) {
	k := newDesks(t, "pager", "chat")
	k.gathers(3)
	parts := []string{alert.DeskPartition("pager"), alert.DeskPartition("chat"), alert.GatherPartition("pager"), alert.GatherPartition("chat")}
	d, made := k.bootKilled(kill), 0
	tell := func(life alert.Lifecycle, severity risk.Severity, of ...int) {
		for _, n := range of {
			part, a := inVault(n, life, severity)
			made++
			a.ID = fmt.Sprintf("a-%03d", made)
			if !slices.Contains(parts, part) {
				parts = append(parts, part)
			}
			k.put(part, a, alert.Target{Channel: "pager", Fallback: []string{"chat"}}, alert.Target{Channel: "chat"})
		}
	}
	for minute := 0; minute <= 150; minute += 5 {
		switch minute {
		case 0:
			tell(alert.Trigger, risk.High, 1, 2)
		case 5:
			k.chans["pager"].fail, k.chans["chat"].fail = down(), down()
			tell(alert.Trigger, risk.High, 3, 4, 5)
		case 15:
			tell(alert.Trigger, risk.Critical, 6)
			tell(alert.Trigger, risk.Medium, 7, 8)
		case 30:
			tell(alert.Update, risk.Critical, 1, 5)
			tell(alert.Resolve, risk.High, 3)
		case 65:
			k.chans["pager"].fail, k.chans["chat"].fail = nil, nil
		case 90:
			tell(alert.Resolve, risk.Critical, 5, 6)
			tell(alert.Update, risk.Critical, 7)
		case 105:
			tell(alert.Resolve, risk.High, 1, 2, 4, 7, 8)
		}
		if !k.life(d, parts...) {
			d = k.boot()
			k.life(d, parts...)
		}
		k.clock = k.clock.Add(5 * time.Minute)
	}
	return k, parts
}

// TestKilledWhileManyAreToldTogether kills the process at writes and sendings of the
// story, with and without effect; another process goes on. CMKGUARD_CRASH=all tries every
// point.
func TestKilledWhileManyAreToldTogether(t *testing.T) {
	t.Parallel()
	clean := &killer{}
	k, parts := togetherDown(t, clean)
	for _, name := range []string{"pager", "chat"} {
		if problems := k.sound(name, 0, parts...); len(problems) > 0 {
			t.Fatalf("undisturbed: %v", problems)
		}
		if _, several := k.chans[name].split(); len(several) == 0 {
			t.Fatalf("%s was told nothing together: %v", name, k.chans[name].ids())
		}
	}
	every := sparse(40)
	tried, sends := 0, 0
	for at := 1; at <= len(clean.calls); at += every {
		for _, landed := range []bool{false, true} {
			tried++
			if strings.HasPrefix(clean.calls[at-1], "send") {
				sends++
			}
			k, parts := togetherDown(t, &killer{at: at, landed: landed})
			for _, name := range []string{"pager", "chat"} {
				for _, problem := range k.sound(name, 1, parts...) {
					t.Errorf("killed at %d, %s, landed %v: %s", at, clean.calls[at-1], landed, problem)
				}
			}
		}
	}
	t.Logf("%d writes and sendings, %d crash points tried, %d of them at a sending", len(clean.calls), tried, sends)
}

// Whatever goes up and down, whoever is killed when, and what is silenced meanwhile, with
// groups and storms.
func TestWhateverHappensWhatIsToldTogetherIsAccountedFor(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		k, h := held(t, "pager", "chat")
		silence := h.hold
		h.hold = nil
		k.gathers(rapid.IntRange(1, 6).Draw(r, "more"))
		parts := []string{alert.DeskPartition("pager"), alert.DeskPartition("chat"), alert.GatherPartition("pager"), alert.GatherPartition("chat")}
		open, made, kills := map[int]risk.Severity{}, 0, 0
		kill := &killer{at: rapid.IntRange(0, 60).Draw(r, "kill")}
		d := k.bootKilled(kill)
		tell := func(n int, life alert.Lifecycle, severity risk.Severity) {
			part, a := inVault(n, life, severity)
			made++
			a.At = k.clock.Add(time.Duration(made) * time.Millisecond) // an incident changes once in a moment
			if a.ID = fmt.Sprintf("a-%03d", made); !slices.Contains(parts, part) {
				parts = append(parts, part)
			}
			k.put(part, a, alert.Target{Channel: "pager", Fallback: []string{"chat"}}, alert.Target{Channel: "chat"})
			if open[n] = severity; life == alert.Resolve {
				delete(open, n)
			}
		}
		for range rapid.IntRange(1, 25).Draw(r, "steps") {
			switch rapid.IntRange(0, 5).Draw(r, "what") {
			case 0, 1, 2:
				for range rapid.IntRange(1, 4).Draw(r, "several") {
					n := rapid.IntRange(0, 5).Draw(r, "incident")
					life := alert.Trigger
					if _, yes := open[n]; yes {
						life = rapid.SampledFrom([]alert.Lifecycle{alert.Update, alert.Resolve}).Draw(r, "life")
					}
					tell(n, life, rapid.SampledFrom([]risk.Severity{risk.Critical, risk.High, risk.Medium}).Draw(r, "severity"))
				}
			case 3:
				f := k.chans[rapid.SampledFrom([]string{"pager", "chat"}).Draw(r, "channel")]
				if f.fail == nil {
					f.fail = down()
				} else {
					f.fail = nil
				}
			case 4:
				if h.hold == nil {
					h.hold = silence
				} else {
					h.hold = nil
				}
			case 5:
				k.clock = k.clock.Add(time.Duration(rapid.IntRange(1, 900).Draw(r, "seconds")) * time.Second)
			}
			if !k.life(d, parts...) {
				kills++
				kill = &killer{at: rapid.IntRange(0, 80).Draw(r, "next kill"), landed: rapid.Bool().Draw(r, "landed")}
				d = k.bootKilled(kill)
			}
			k.clock = k.clock.Add(time.Duration(rapid.SampledFrom([]int{0, 3, 31, 60}).Draw(r, "pass")) * time.Second)
		}
		h.hold = nil
		k.chans["pager"].fail, k.chans["chat"].fail = nil, nil
		d = k.boot()
		calm := func() {
			for range 12 {
				k.life(d, parts...)
				k.clock = k.clock.Add(4 * time.Minute)
			}
		}
		calm()
		for n := range 6 {
			if severity, yes := open[n]; yes {
				tell(n, alert.Resolve, severity)
			}
		}
		calm()
		for _, name := range []string{"pager", "chat"} {
			for _, problem := range k.sound(name, kills, parts...) {
				r.Error(problem)
			}
		}
	})
}
