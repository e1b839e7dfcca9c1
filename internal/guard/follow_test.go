package guard_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/incident"
	"cmkguard/internal/policy"
)

// reminded is a world whose chat is told again after four hours, and whose pager is
// called after a quarter of one.
func reminded(t *testing.T) (*world, *byName) {
	t.Helper()
	return routed(t, []policy.Channel{{Name: "chat", Kind: "slack"}, {Name: "pager", Kind: "pagerduty"}}, policy.Route{
		Match: policy.AlertMatch{Checks: []string{"CMK-050", "CMK-018"}}, Channels: []string{"chat"}, Repeat: 4 * time.Hour,
		Escalate: &policy.Escalation{After: 15 * time.Minute, Channels: []string{"pager"}},
	})
}

// sweep sweeps every minute for as long.
func (w *world) sweep(d time.Duration) {
	w.t.Helper()
	for end := w.sim.Clock().Now().Add(d); w.sim.Clock().Now().Before(end); {
		w.sim.Clock().Advance(time.Minute)
		must(w.t, w.g.Sweep(ctx))
	}
}

// of are the check's alerts that the channel was told.
func (b *byName) of(channel, check string) (out []alert.Alert) {
	for _, a := range b.got[channel] {
		if a.Check == check {
			out = append(out, a)
		}
	}
	return out
}

func (w *world) lose() event.Subject {
	w.t.Helper()
	w.sim.Clock().Advance(10 * time.Second) // past the look that answered the last signal
	w.sim.Unassign(who)
	w.hint()
	w.turns()
	return event.Subject{Kind: event.SubjectCluster, ID: w.cluster.Key()}
}

func (w *world) giveBack() {
	w.t.Helper()
	w.sim.Assign(root+"Microsoft.KeyVault/vaults/kv-a", azuresim.RoleCryptoServiceEncryptionUser, who)
	w.hint()
	w.turns()
}

// turns works on what is in the queue now.
func (w *world) turns() { w.turn(&worker{g: w.g, b: w.b}) }

func TestRemindedAndEscalatedUntilAcknowledged(t *testing.T) {
	t.Parallel()
	w, told := reminded(t)
	w.g.PublicURL = "https://cmk.example.com"
	cluster := w.lose()
	want := func(chat, pager []alert.Lifecycle) {
		t.Helper()
		if c, p := told.lives("chat", "CMK-050"), told.lives("pager", "CMK-050"); !slices.Equal(c, chat) || !slices.Equal(p, pager) {
			t.Fatalf("chat %v, pager %v; want %v, %v", c, p, chat, pager)
		}
	}
	want([]alert.Lifecycle{alert.Trigger}, nil)
	if first := told.of("chat", "CMK-050")[0]; !slices.ContainsFunc(first.Commands, func(c alert.Command) bool {
		return c.Line == "cmkguard alert ack CMK-050/"+incident.Partition(cluster)+" --reason 'looking at it'"
	}) {
		t.Errorf("it does not say how to acknowledge it: %+v", first.Commands)
	}
	w.sweep(14 * time.Minute)
	want([]alert.Lifecycle{alert.Trigger}, nil)
	w.sweep(2 * time.Minute)
	want([]alert.Lifecycle{alert.Trigger}, []alert.Lifecycle{alert.Trigger})
	if a := told.of("pager", "CMK-050")[0]; !strings.HasPrefix(a.Title, "Nobody answered in 15 minutes: Identity lost") || !slices.Contains(a.Notes, "it is open and nobody acknowledged it for 15 minutes") {
		t.Errorf("%q %q", a.Title, a.Notes)
	}
	w.sweep(8 * time.Hour)
	want([]alert.Lifecycle{alert.Trigger, alert.Update, alert.Update}, []alert.Lifecycle{alert.Trigger})
	if got := told.of("chat", "CMK-050")[1].Title; !strings.HasPrefix(got, "Nobody answered in 4 hours: Identity lost") {
		t.Errorf("%q", got)
	}
	i, err := w.g.Acknowledge(ctx, incident.Partition(cluster), "CMK-050", "anna", "calling the owner")
	must(t, err)
	if i.Acked == nil || i.State != incident.Open {
		t.Fatalf("%+v", i)
	}
	w.sweep(9 * time.Hour)
	want([]alert.Lifecycle{alert.Trigger, alert.Update, alert.Update}, []alert.Lifecycle{alert.Trigger, alert.Acknowledge})
	if a := told.of("pager", "CMK-050")[1]; a.DedupKey != told.of("pager", "CMK-050")[0].DedupKey || !strings.Contains(strings.Join(a.Done, ""), "acknowledged by anna: calling the owner") {
		t.Errorf("%+v", a)
	}
	if a := told.of("pager", "CMK-050")[1]; slices.Contains(labels(a), "acknowledge") || !slices.Contains(labels(a), "silence") || slices.ContainsFunc(a.Commands, func(c alert.Command) bool { return strings.Contains(c.Line, "alert ack") }) {
		t.Errorf("it says how to acknowledge what is acknowledged: %v %v", a.Links, a.Commands)
	}
	if !w.journalHas("CMK-050 acknowledged by anna: calling the owner") || !w.journalHas("escalated to [pager]") || !w.journalHas("told again: Nobody answered in 4 hours") {
		t.Error("the journal does not say it")
	}
	if _, err := w.g.Acknowledge(ctx, incident.Partition(cluster), "CMK-050", "ben", "me too"); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "already, by anna") {
		t.Errorf("acknowledged twice: %v", err)
	}
	// Who was escalated to is told of the end; the next episode begins afresh.
	w.giveBack()
	want([]alert.Lifecycle{alert.Trigger, alert.Update, alert.Update, alert.Resolve}, []alert.Lifecycle{alert.Trigger, alert.Acknowledge, alert.Resolve})
	if _, err := w.g.Acknowledge(ctx, incident.Partition(cluster), "CMK-050", "ben", "late"); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "it is resolved since") {
		t.Errorf("acknowledged when over: %v", err)
	}
	w.lose()
	w.sweep(16 * time.Minute)
	if got := told.lives("pager", "CMK-050"); len(got) != 4 {
		t.Errorf("the next episode is not escalated: %v; chat %v", got, told.lives("chat", "CMK-050"))
	}
	must(t, w.g.Sweep(ctx))
}

func TestNobodyIsRemindedOfWhatIsOver(t *testing.T) {
	t.Parallel()
	w, told := reminded(t)
	cluster := w.lose()
	w.sweep(10 * time.Minute)
	w.giveBack()
	w.sweep(5 * time.Hour)
	if c, p := told.lives("chat", "CMK-050"), told.lives("pager", "CMK-050"); !slices.Equal(c, []alert.Lifecycle{alert.Trigger, alert.Resolve}) || len(p) != 0 {
		t.Errorf("chat %v, pager %v", c, p)
	}
	rows, err := w.b.State.Scan(ctx, incident.Partition(cluster), "follow~CMK-050", "follow~CMK-050-", 10)
	if err != nil || len(rows) != 0 {
		t.Errorf("left to follow: %v %v", rows, err)
	}
}

// The chat is down: the pager is called all the same, and reminders do not pile up.
func TestEscalatedThoughTheFirstChannelIsDown(t *testing.T) {
	t.Parallel()
	w, told := reminded(t)
	told.down = map[string]bool{"chat": true}
	cluster := w.lose()
	w.sweep(16 * time.Minute)
	if got := told.lives("pager", "CMK-050"); len(got) == 0 || got[0] != alert.Trigger {
		t.Fatalf("pager %v", got)
	}
	w.sweep(9 * time.Hour)
	if got := w.states(cluster, "chat", "CMK-050"); len(got) != 1 {
		t.Errorf("%d alerts wait for the chat", len(got))
	}
	told.down = nil
	w.sweep(20 * time.Minute)
	if got := told.lives("chat", "CMK-050"); !slices.Equal(got, []alert.Lifecycle{alert.Trigger}) {
		t.Errorf("chat %v", got)
	}
}

// What gets worse was not acknowledged as such.
func TestWorseningTakesTheAcknowledgementBack(t *testing.T) {
	t.Parallel()
	w, told := reminded(t)
	w.hint()
	w.turns()
	key := event.Subject{Kind: event.SubjectKey, ID: w.key.ID()}
	if got := told.lives("chat", "CMK-018"); !slices.Equal(got, []alert.Lifecycle{alert.Trigger}) {
		t.Fatalf("chat %v", got)
	}
	_, err := w.g.Acknowledge(ctx, incident.Partition(key), "CMK-018", "anna", "next week")
	must(t, err)
	w.sweep(time.Hour)
	if got := told.lives("pager", "CMK-018"); len(got) != 0 {
		t.Fatalf("escalated though acknowledged: %v", got)
	}
	w.sim.ChangeCluster(w.cluster, func(c *azuresim.Cluster) { c.Tags = map[string]string{"environment": "production"} })
	w.hint()
	w.turns()
	w.sweep(16 * time.Minute)
	if c, p := told.lives("chat", "CMK-018"), told.lives("pager", "CMK-018"); !slices.Equal(c, []alert.Lifecycle{alert.Trigger, alert.Update}) || !slices.Equal(p, []alert.Lifecycle{alert.Trigger}) {
		t.Errorf("chat %v, pager %v", c, p)
	}
}

func TestAcknowledgingWhatIsNotThere(t *testing.T) {
	t.Parallel()
	w, _ := reminded(t)
	if _, err := w.g.Acknowledge(ctx, "cluster~nowhere", "CMK-050", "anna", ""); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "there is no incident CMK-050/cluster~nowhere") {
		t.Errorf("%v", err)
	}
}

// An incident that comes and goes is told as that, once, and then how it settles.
func TestWhatComesAndGoesIsToldOnceAndWhenItSettles(t *testing.T) {
	t.Parallel()
	channels, route := people()
	w, told := routed(t, channels, route)
	for range 4 { // eight turns
		w.lose()
		w.sim.Clock().Advance(2 * time.Minute)
		w.giveBack()
		w.sim.Clock().Advance(2 * time.Minute)
	}
	first := []alert.Lifecycle{alert.Trigger, alert.Resolve, alert.Trigger, alert.Resolve, alert.Trigger}
	if got := told.lives("chat", "CMK-050"); !slices.Equal(got, first) {
		t.Fatalf("told %v", got)
	}
	if a := told.of("chat", "CMK-050")[4]; !strings.HasPrefix(a.Title, "Comes and goes: Identity lost") || !strings.Contains(strings.Join(a.Notes, ""), "5 times within an hour") {
		t.Errorf("%q %q", a.Title, a.Notes)
	}
	w.sweep(26 * time.Minute)
	if got := told.lives("chat", "CMK-050"); !slices.Equal(got, first) {
		t.Fatalf("told before it was quiet: %v", got)
	}
	w.sweep(5 * time.Minute)
	if got := told.lives("chat", "CMK-050"); !slices.Equal(got, append(first, alert.Resolve)) {
		t.Errorf("told %v", got)
	}
	if got := told.lives("bus", "CMK-050"); len(got) != 9 {
		t.Errorf("a topic gets every turn: %v", got)
	}
}
