package loss

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"cmkguard/internal/azureid"
	"cmkguard/internal/event"
	"cmkguard/internal/risk"
)

const (
	vaultA = "/subscriptions/s/resourcegroups/g/providers/microsoft.keyvault/vaults/kv-a"
	vaultB = "/subscriptions/s/resourcegroups/g/providers/microsoft.keyvault/vaults/kv-b"
)

func noon() time.Time { return time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC) }

func fact(source string, kind event.Kind, at time.Time, id string) Fact {
	return Fact{Schema: 1, Source: source, Kind: kind, Vault: vaultA, Key: "kek", Version: "v1", At: at, Seen: at.Add(10 * time.Second), ID: id, Done: true}
}

func day(facts ...Fact) Day {
	return Day{Date: "2026-11-02", Closed: noon().AddDate(0, 0, 2), Facts: facts, Vaults: []string{vaultA}, Heard: []string{vaultA}}
}

func TestWhichSignalsAreFacts(t *testing.T) {
	t.Parallel()
	vault := azureid.MustResource("/subscriptions/S/resourceGroups/g/providers/Microsoft.KeyVault/vaults/KV-A")
	key := azureid.Key{Host: "kv-a.vault.azure.net", Name: "Kek", Version: "V1"}
	for name, c := range map[string]struct {
		s    event.Signal
		want string
	}{
		"an expiry from Event Grid": {event.Signal{Type: "Microsoft.KeyVault.KeyNearExpiry", Kind: event.KeyNearExpiry}, "event-grid key-near-expiry"},
		"its row in the log":        {event.Signal{Type: "AuditEvent.keynearexpiryEVENTGRIDNOTIFICATION", Kind: event.KeyNearExpiry}, "vault-logs key-near-expiry"},
		"a new version":             {event.Signal{Type: "Microsoft.KeyVault.KeyNewVersionCreated", Kind: event.KeyNewVersion}, "event-grid key-new-version"},
		"a creation in the log":     {event.Signal{Type: "AuditEvent.KeyCreate", Kind: event.KeyCreated}, "vault-logs key-new-version"},
		"a refused creation":        {event.Signal{Type: "AuditEvent.KeyCreate", Kind: event.AttemptDenied}, ""},
		"a rotation by policy":      {event.Signal{Type: "AuditEvent.KeyRotateIfDue", Kind: event.KeyRotated}, "vault-logs key-new-version weak"},
		"an access policy":          {event.Signal{Type: "Microsoft.KeyVault.VaultAccessPolicyChanged", Kind: event.AccessPolicyChanged}, "event-grid access-policy-changed"},
		"the same of a topic":       {event.Signal{Type: "Microsoft.Resources.ResourceWriteSuccess", Kind: event.AccessPolicyChanged}, ""},
		"a deletion":                {event.Signal{Type: "AuditEvent.KeyDelete", Kind: event.KeyDeleted}, ""},
		"ours":                      {event.Signal{Type: "CmkGuard.KeyDeleted", Kind: event.KeyChanged}, ""},
	} {
		c.s.Vault, c.s.Key, c.s.Time = vault, key, noon()
		f, ok := FactOf(c.s, noon().Add(time.Minute))
		got := ""
		if ok {
			got = f.Source + " " + string(f.Kind)
		}
		if f.Weak {
			got += " weak"
		}
		if got != c.want || ok && (f.Vault != strings.ToLower(vault.String()) || f.Key != "kek" || f.Version != "v1") {
			t.Errorf("%s: %q, want %q: %+v", name, got, c.want, f)
		}
	}
	if _, ok := FactOf(event.Signal{Type: "Microsoft.KeyVault.KeyExpired", Kind: event.KeyExpired}, noon()); ok {
		t.Error("a signal of no vault is a fact")
	}
}

func TestADayIsAccountedFor(t *testing.T) {
	t.Parallel()
	at := noon()
	both := []Fact{fact(Grid, event.KeyNearExpiry, at, "g1"), fact(Logs, event.KeyNearExpiry, at.Add(time.Minute), "l1")}
	with := func(change func(*Day)) Day { d := day(slices.Clone(both)...); change(&d); return d }
	for name, c := range map[string]struct {
		d    Day
		want string // of Event Grid and of the logs: expected handled late lost waiting
	}{
		"both told":           {day(both...), "1 1 0 0 0 / 1 1 0 0 0"},
		"nothing":             {day(), "0 0 0 0 0 / 0 0 0 0 0"},
		"Event Grid lost":     {day(both[1]), "1 0 0 1 0 / 1 1 0 0 0"},
		"the log lost":        {day(both[0]), "1 1 0 0 0 / 1 0 0 1 0"},
		"not worked on":       {with(func(d *Day) { d.Facts[0].Done = false }), "1 0 0 0 1 / 1 1 0 0 0"},
		"late":                {with(func(d *Day) { d.Facts[0].Seen = at.Add(3 * time.Hour) }), "1 1 1 0 0 / 1 1 0 0 0"},
		"a late log":          {with(func(d *Day) { d.Facts[1].Seen = at.Add(20 * time.Minute) }), "1 1 0 0 0 / 1 1 1 0 0"},
		"another kind":        {with(func(d *Day) { d.Facts[1].Kind = event.KeyExpired }), "2 1 0 1 0 / 2 1 0 1 0"},
		"another version":     {with(func(d *Day) { d.Facts[1].Version = "v2" }), "2 1 0 1 0 / 2 1 0 1 0"},
		"another key":         {with(func(d *Day) { d.Facts[1].Key, d.Facts[1].Version = "other", "" }), "2 1 0 1 0 / 2 1 0 1 0"},
		"no version in a log": {with(func(d *Day) { d.Facts[1].Version = "" }), "1 1 0 0 0 / 1 1 0 0 0"},
		"no key in a log":     {with(func(d *Day) { d.Facts[1].Key, d.Facts[1].Version = "", "" }), "1 1 0 0 0 / 1 1 0 0 0"},
		"hours apart":         {with(func(d *Day) { d.Facts[1].At = at.Add(2 * time.Hour) }), "2 1 0 1 0 / 2 1 0 1 0"},
		"only a weak log":     {with(func(d *Day) { d.Facts = d.Facts[1:]; d.Facts[0].Weak = true }), "0 0 0 0 0 / 1 1 0 0 0"},
		"a silent log":        {with(func(d *Day) { d.Facts = d.Facts[:1]; d.Heard = nil }), "1 1 0 0 0 / 0 0 0 0 0"},
		"of the day before":   {with(func(d *Day) { d.Date = "2026-11-03" }), "0 0 0 0 0 / 0 0 0 0 0"},
	} {
		s := State(c.d)
		var got []string
		for _, a := range s.Accounts[:2] {
			got = append(got, fmt.Sprintf("%d %d %d %d %d", a.Expected, a.Handled, a.Late, len(a.Lost), len(a.Waiting)))
		}
		if text := strings.Join(got, " / "); text != c.want {
			t.Errorf("%s: %s, want %s", name, text, c.want)
		}
	}
	late := with(func(d *Day) { d.Facts[0].Seen = at.Add(3 * time.Hour) })
	if w := State(late).Accounts[0].Worst; w != 3*3600 {
		t.Errorf("the worst delay is %d s", w)
	}
}

// Where there is no second witness, nothing is said to be lost by nobody.
func TestAMissingWitnessIsSaid(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Day){
		"the second witness is missing":                     func(d *Day) { d.Heard = nil },
		"the log told nothing of 1 of 2 vaults: kv-b":       func(d *Day) { d.Vaults = append(d.Vaults, vaultB) },
		"we watch since 2026-11-02T06:00:00Z":               func(d *Day) { d.From = noon().Add(-6 * time.Hour) },
		"more than 20000 events came: not all were matched": func(d *Day) { d.Over = true },
		"no vault of a key in use is known yet":             func(d *Day) { d.Vaults = nil },
		"":                                                  func(*Day) {},
	} {
		d := day(fact(Grid, event.KeyExpired, noon(), "g1"), fact(Logs, event.KeyExpired, noon(), "l1"))
		change(&d)
		s := State(d)
		if got := s.Accounts[0].Unknown; got != want && (want == "" || !strings.Contains(got, want)) {
			t.Errorf("%q, want %q", s.Accounts[0].Unknown, want)
		}
		if s.Accounts[2].Source != Resource || s.Accounts[2].Unknown == "" {
			t.Error("the topics of subscriptions have no second witness, and that is not said")
		}
		silent := slices.Contains(s.Silent, vaultA)
		for _, v := range Verdicts(s, Statement{}, d.Vaults) {
			if ok := v.Answer == risk.OK; ok && (silent || d.Over) && v.Subject.ID == vaultA {
				t.Errorf("%q: %s is ok", want, v.Check)
			}
		}
	}
}

func TestWhatOnlyASweepFound(t *testing.T) {
	t.Parallel()
	key := event.Subject{Kind: event.SubjectKey, ID: "kv-a.vault.azure.net/kek"}
	f := Found{Schema: 1, Subject: key, Check: "CMK-010", Change: "opened", Why: "the key was deleted", At: noon()}
	for name, c := range map[string]struct {
		told []Told
		want int
	}{
		"nobody told":           {nil, 1},
		"told a moment before":  {[]Told{{event.KeyDeleted, "a", noon().Add(-time.Minute), noon()}}, 0},
		"told hours afterwards": {[]Told{{event.KeyDeleted, "a", noon().Add(-time.Hour), noon().Add(20 * time.Hour)}}, 0},
		"of something else":     {[]Told{{event.KeyNearExpiry, "a", noon().Add(-time.Minute), noon()}}, 1},
		"of another time":       {[]Told{{event.KeyDeleted, "a", noon().Add(-30 * time.Hour), noon().Add(-30 * time.Hour)}}, 1},
		"by the vault's own":    {[]Told{{event.VaultDeleted, "a", noon(), noon()}}, 0},
	} {
		g := f
		g.Explain(c.told, 3*time.Hour)
		d := day()
		d.Found = []Found{g}
		s := State(d)
		if len(s.Found) != c.want || s.Gaps() != c.want {
			t.Errorf("%s: %+v", name, s.Found)
		}
		vs := Verdicts(s, Statement{}, nil)
		if (len(vs) > 0 && vs[len(vs)-1].Check == OnlySweep && vs[len(vs)-1].Answer == risk.Broken) != (c.want > 0) {
			t.Errorf("%s: %+v", name, vs)
		}
		// The next day without it ends it.
		for _, v := range Verdicts(State(day()), s, nil) {
			if v.Check == OnlySweep && (v.Answer != risk.OK || v.Subject != key) {
				t.Errorf("%s: the next day %+v", name, v)
			}
		}
	}
	if Tells("CMK-013") || Tells("CMK-019") || !Tells("CMK-050") {
		t.Error("which checks' answers change by time alone")
	}
	if got := (Found{Check: "CMK-050"}).SourcesOf(); !slices.Equal(got, []string{Grid, Resource}) {
		t.Errorf("%q", got)
	}
}

func TestVerdictsNameTheGaps(t *testing.T) {
	t.Parallel()
	var lost []Fact
	for i := range 7 {
		f := fact(Logs, event.KeyNewVersion, noon().Add(time.Duration(i)*time.Hour), fmt.Sprintf("audit-%d", i))
		f.Version = fmt.Sprintf("v%d", i)
		lost = append(lost, f)
	}
	vs := Verdicts(State(day(lost...)), Statement{}, []string{vaultA})
	if len(vs) != 2 || vs[0].Check != GridLost || vs[0].Answer != risk.Broken || vs[1].Answer != risk.OK {
		t.Fatalf("%+v", vs)
	}
	for _, want := range []string{"key-new-version of vault kv-a, key kek version v0 at 2026-11-02T12:00:00Z (told by vault-logs as audit-0)", "and 2 more", "2026-11-02"} {
		if !strings.Contains(vs[0].Why, want) {
			t.Errorf("%q is not in %s", want, vs[0].Why)
		}
	}
	if vs[0].Breaks == "" || vs[0].Guidance == "" || vs[0].Title == "" || len(vs[0].Reasons) == 0 {
		t.Errorf("%+v", vs[0])
	}
}

// drawFacts draws what two sources told over three days, with losses.
func drawFacts(t *rapid.T) []Fact {
	var out []Fact
	for i := range rapid.IntRange(0, 12).Draw(t, "things") {
		f := fact(Grid, rapid.SampledFrom([]event.Kind{event.KeyNearExpiry, event.KeyNewVersion}).Draw(t, "kind"),
			noon().Add(time.Duration(rapid.IntRange(-1600, 1600).Draw(t, "minutes"))*time.Minute), fmt.Sprint("g", i))
		f.Version = rapid.SampledFrom([]string{"v1", "v2", ""}).Draw(t, "version")
		l := f
		l.Source, l.ID, l.At = Logs, fmt.Sprint("l", i), f.At.Add(time.Duration(rapid.IntRange(-15, 15).Draw(t, "apart"))*time.Minute)
		if rapid.Bool().Draw(t, "bare") {
			l.Version = ""
		}
		switch rapid.IntRange(0, 3).Draw(t, "lost") {
		case 0:
			out = append(out, f)
		case 1:
			out = append(out, l)
		default:
			out = append(out, f, l)
		}
	}
	return out
}

// Every fact is in one pair, pairs hold what may be the same, and of what is left
// alone no two could have been paired; the order in which it came does not matter.
func TestWhatCanBeMatchedIs(t *testing.T) {
	t.Parallel()
	same := func(g, l *Fact) bool {
		apart := g.At.Sub(l.At).Abs() <= Near
		return g.Kind == l.Kind && g.Vault == l.Vault && apart && (g.Key == l.Key || g.Key == "" || l.Key == "") && (g.Version == l.Version || g.Version == "" || l.Version == "")
	}
	rapid.Check(t, func(t *rapid.T) {
		facts := drawFacts(t)
		pairs, n := match(facts), 0
		var grids, logs []*Fact
		for _, p := range pairs {
			switch {
			case p.grid != nil && p.log != nil:
				n += 2
				if !same(p.grid, p.log) {
					t.Fatalf("%+v is not %+v", p.grid, p.log)
				}
			case p.grid != nil:
				n++
				grids = append(grids, p.grid)
			default:
				n++
				logs = append(logs, p.log)
			}
		}
		if n != len(facts) {
			t.Fatalf("%d facts, %d in pairs", len(facts), n)
		}
		for _, g := range grids {
			for _, l := range logs {
				if same(g, l) {
					t.Fatalf("left alone: %+v and %+v", g, l)
				}
			}
		}
		d := day(facts...)
		other := day(rapid.Permutation(facts).Draw(t, "order")...)
		if diff := cmp.Diff(State(d), State(other)); diff != "" {
			t.Fatal(diff)
		}
	})
}

// What is told near midnight is accounted for on one day, and on one only.
func TestEveryPairIsOneDays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		facts := drawFacts(t)
		total := 0
		for _, date := range []string{"2026-10-31", "2026-11-01", "2026-11-02", "2026-11-03", "2026-11-04"} {
			d := Day{Date: date, Vaults: []string{vaultA}, Heard: []string{vaultA}}
			from, err := time.Parse(time.DateOnly, date)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range facts {
				if !f.At.Before(from.AddDate(0, 0, -1)) && f.At.Before(from.AddDate(0, 0, 2)) {
					d.Facts = append(d.Facts, f)
				}
			}
			s := State(d)
			total += s.Accounts[0].Expected
			if raw, err := json.Marshal(s); err != nil || len(raw) == 0 {
				t.Fatal(err)
			}
		}
		if want := len(match(facts)); total != want {
			t.Fatalf("%d pairs, %d on some day", want, total)
		}
	})
}

// Each check is explained where its alerts lead to, by its own title.
func TestTheChecksAreExplained(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../docs/losses.md")
	if err != nil {
		t.Fatal(err)
	}
	for id, c := range checks() {
		if !strings.Contains(string(raw), "## "+id+"\n\n**"+c.title+".** ") {
			t.Errorf("docs/losses.md does not explain %s: %s", id, c.title)
		}
	}
}
