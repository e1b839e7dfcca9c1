package guard_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/hold"
	"cmkguard/internal/approval"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/guard"
	"cmkguard/internal/incident"
	"cmkguard/internal/policy"
)

func anna() approval.Person { return approval.Person{Object: "00-a1", Tenant: "t", Name: "anna"} }

func ask(scope guard.Scope, d time.Duration) guard.Silencing {
	return guard.Silencing{Scope: scope, For: d, Reason: "change 7"}
}

// hushed are the silences on the page of a check about the cluster.
func (w *world) hushed(partition, check string) []guard.Hush {
	w.t.Helper()
	k, err := w.g.Incident(ctx, check, partition)
	must(w.t, err)
	return k.Silences
}

// A silence that is asked for on an incident's page keeps its reminders back until it
// is ended there, and then what is still wrong is told.
func TestAnIncidentsPageSilencesItAndEndsThat(t *testing.T) {
	t.Parallel()
	w, told := reminded(t)
	at := incident.Partition(w.lose())
	k, err := w.g.Incident(ctx, "CMK-050", at)
	must(t, err)
	subject := "cluster:" + w.cluster.Key()
	want := []string{
		"every alert of CMK-050 about " + subject, "every alert about " + subject,
		"every alert about the vault kv-a and what hangs on it: its keys, and clusters whose key lies there",
	}
	for n, q := range k.Scopes {
		if q.Keeps != want[n] {
			t.Errorf("%s: %q, want %q", q.Scope, q.Keeps, want[n])
		}
	}
	if len(k.Scopes) != 3 || len(k.Silences) != 0 {
		t.Fatalf("%+v", k)
	}
	must(t, w.g.SilenceIncident(ctx, at, "CMK-050", ask(guard.ScopeIncident, 24*time.Hour), anna()))
	w.sweep(5 * time.Hour)
	if c, p := told.lives("chat", "CMK-050"), told.lives("pager", "CMK-050"); !slices.Equal(c, []alert.Lifecycle{alert.Trigger}) || len(p) != 0 {
		t.Fatalf("reminded within the silence: chat %v, pager %v", c, p)
	}
	s := w.hushed(at, "CMK-050")
	if len(s) != 1 || s[0].Owner != "anna" || s[0].By != "anna (object id 00-a1)" || s[0].Reason != "change 7" || s[0].Keeps != want[0] || s[0].Kept == 0 {
		t.Fatalf("%+v", s)
	}
	must(t, w.g.UnsilenceIncident(ctx, at, "CMK-050", s[0].ID, anna(), "it is ours after all"))
	w.sweep(3 * time.Minute)
	if c, p := told.lives("chat", "CMK-050"), told.lives("pager", "CMK-050"); len(c) != 2 || len(p) != 1 {
		t.Errorf("after its end: chat %v, pager %v", c, p)
	}
	for _, text := range []string{"silence " + s[0].ID + " of anna (change 7) added by anna (object id 00-a1) until", "ended by anna (object id 00-a1): it is ours after all"} {
		if !w.journalHas(text) {
			t.Errorf("the journal does not say %q", text)
		}
	}
	if err := w.g.UnsilenceIncident(ctx, at, "CMK-050", s[0].ID, anna(), "again"); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "keeps nothing of this incident back now") {
		t.Errorf("ended twice: %v", err)
	}
}

// A post that comes twice, or a longer time that is asked for later, is one silence; each
// life of it has its own end told.
func TestAPersonsLaterSilenceOfTheSameTakesThePlaceOfTheEarlier(t *testing.T) {
	t.Parallel()
	w, told := reminded(t)
	at := incident.Partition(w.lose())
	end := func() {
		t.Helper()
		w.sweep(65 * time.Minute)
		if got := w.hushed(at, "CMK-050"); len(got) != 0 {
			t.Fatalf("it goes on: %+v", got)
		}
	}
	ends := func() (n int) {
		for _, a := range told.got["chat"] {
			if strings.HasPrefix(a.Title, "A silence is over: ") {
				n++
			}
		}
		return n
	}
	w.g.Policy.Routes = append(w.g.Policy.Routes, policy.Route{Match: policy.AlertMatch{Lifecycle: []string{"notice"}}, Channels: []string{"chat"}})
	for range 2 {
		must(t, w.g.SilenceIncident(ctx, at, "CMK-050", ask(guard.ScopeSubject, 30*time.Minute), anna()))
	}
	first := w.hushed(at, "CMK-050")
	must(t, w.g.SilenceIncident(ctx, at, "CMK-050", ask(guard.ScopeSubject, time.Hour), anna()))
	longer := w.hushed(at, "CMK-050")
	if len(first) != 1 || len(longer) != 1 || longer[0].ID != first[0].ID || !longer[0].Until.After(first[0].Until) {
		t.Fatalf("%+v, then %+v", first, longer)
	}
	must(t, w.g.SilenceIncident(ctx, at, "CMK-050", ask(guard.ScopeSubject, time.Hour), approval.Person{Object: "00-b2", Name: "ben"}))
	if got := w.hushed(at, "CMK-050"); len(got) != 2 {
		t.Fatalf("another person's is its own: %+v", got)
	}
	end()
	if ends() != 2 {
		t.Fatalf("%d ends were told", ends())
	}
	must(t, w.g.SilenceIncident(ctx, at, "CMK-050", ask(guard.ScopeSubject, time.Hour), anna()))
	end()
	if ends() != 3 {
		t.Errorf("the end of the same person's next silence was not told: %d", ends())
	}
}

// What is over, unknown or not to be named whole is not silenced, and a silence of
// something else is neither shown nor ended there.
func TestWhatAnIncidentsPageDoesNotSilence(t *testing.T) {
	t.Parallel()
	w, _ := reminded(t)
	at := incident.Partition(w.lose())
	long := ask(guard.ScopeIncident, guard.MaxSilence+time.Minute)
	for want, err := range map[string]error{
		"there is no incident CMK-999/" + at:  w.g.SilenceIncident(ctx, at, "CMK-999", ask(guard.ScopeIncident, time.Hour), anna()),
		`cannot be silenced by "kv-*"`:        w.g.SilenceIncident(ctx, at, "CMK-050", ask("kv-*", time.Hour), anna()),
		"it ends in more than 30 days":        w.g.SilenceIncident(ctx, at, "CMK-050", long, anna()),
		"which is past":                       w.g.SilenceIncident(ctx, at, "CMK-050", ask(guard.ScopeIncident, 0), anna()),
		"it has no reason":                    w.g.SilenceIncident(ctx, at, "CMK-050", guard.Silencing{Scope: guard.ScopeIncident, For: time.Hour, Reason: " "}, anna()),
		"there is no incident CMK-050/nobody": w.g.UnsilenceIncident(ctx, "nobody", "CMK-050", "s-1", anna(), "x"),
	} {
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	other, err := w.g.Silence(ctx, hold.Silence{Owner: "ben", Reason: "x", Match: policy.AlertMatch{Vaults: []string{"kv-b"}}, Until: w.g.Now().Add(time.Hour)}, "ben")
	must(t, err)
	wild, err := w.g.Silence(ctx, hold.Silence{Owner: "ben", Reason: "x", Match: policy.AlertMatch{Vaults: []string{"kv-*"}}, Until: w.g.Now().Add(time.Hour)}, "ben")
	must(t, err)
	if got := w.hushed(at, "CMK-050"); len(got) != 0 {
		t.Errorf("a critical incident shows what does not hold it: %+v", got)
	}
	for _, s := range []hold.Silence{other, wild} {
		if err := w.g.UnsilenceIncident(ctx, at, "CMK-050", s.ID, anna(), "x"); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s was ended where it holds nothing: %v", s.ID, err)
		}
	}
	w.sim.Clock().Advance(10 * time.Second)
	w.giveBack()
	if err := w.g.SilenceIncident(ctx, at, "CMK-050", ask(guard.ScopeIncident, time.Hour), anna()); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "is over since") {
		t.Errorf("silenced when over: %v", err)
	}
	if k, err := w.g.Incident(ctx, "CMK-050", at); err != nil || len(k.Scopes) != 0 {
		t.Errorf("%+v, %v", k.Scopes, err)
	}
}

// The alerts of an incident that was never told, or whose alerts are gone, are known by
// the incident itself.
func TestAKeysIncidentNamesItsVaultWithoutAnAlert(t *testing.T) {
	t.Parallel()
	w, _ := reminded(t)
	w.g.Policy.Routes = nil
	w.sim.ChangeVersion(w.key, func(v *azuresim.Version) { v.Expires = nil })
	w.hint()
	w.turns()
	at := incident.Partition(event.Subject{Kind: event.SubjectKey, ID: w.key.ID()})
	k, err := w.g.Incident(ctx, "CMK-018", at)
	must(t, err)
	if len(k.Scopes) != 3 || k.Scopes[2].Name != "kv-a" {
		t.Errorf("%+v", k.Scopes)
	}
}
