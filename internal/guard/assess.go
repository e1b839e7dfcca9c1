package guard

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/incident"
	"cmkguard/internal/journal"
	"cmkguard/internal/plan"
	"cmkguard/internal/remedy"
	"cmkguard/internal/risk"
	"cmkguard/internal/store"
	"cmkguard/internal/wiring"
)

// picture is everything that one signal led to read, and what it means.
type picture struct {
	run      Survey
	signal   event.Signal
	blurred  bool // something that would be critical cannot be answered since this look
	peek     bool // nothing may be stored
	now      time.Time
	wirings  []wiring.Wiring
	gone     []wiring.Wiring // of clusters that are not there
	complete bool
	why      string
	verdicts map[event.Subject][]risk.Verdict
	impact   map[event.Subject][]wiring.Cluster
	keys     map[string]keyPicture // by azureid.Key.ID
	// pointedBack is, per cluster, the newer version that it was on before; newer
	// is what to remember of a cluster that moved on.
	pointedBack map[string]string
	newer       map[string]store.Op
	holds       map[string]holdChange
	rival       *wiring.Rival // another installation's remediator, which the claim says did it
	meant       bool          // the policy names that one
	muffled     string        // the subscription of which it could not be told whether its events reach us
	lost        string        // what the inventory knows of a role assignment that went
	// parts are the keys that the signal is split into: more than one
	// invocation can look at within its deadline. Nothing else is read then.
	parts []azureid.Key
}

// keyPicture is what is known of one key across the clusters that use it.
type keyPicture struct {
	facts plan.Facts
	since time.Time // the first look at the key; zero: this one
}

// assess judges everything that the signal's subject touches and commits, one
// batch per subject: incidents, plans, alerts and their record.
//
// Nobody found where not everybody could be seen is unknown, not nobody: unless
// this is the last try, it is a fault that comes again.
//
// It returns the partitions that it may have written to.
func (g *Guard) assess(ctx context.Context, s event.Signal, lastTry bool) (touched []string, err error) {
	_, touched, err = g.assessed(ctx, s, lastTry)
	return touched, err
}

// assessed is assess, with the picture that it was judged by.
func (g *Guard) assessed(ctx context.Context, s event.Signal, lastTry bool) (p *picture, touched []string, err error) {
	run := g.Survey()
	p = g.look(ctx, run, s)
	if len(p.wirings) == 0 && !p.complete && !lastTry {
		return p, nil, fault.New(fault.Transient, "guard.assess", "who uses %s is unknown: %s", s.Subject.ID, p.why)
	}
	if p.parts != nil {
		return p, []string{incident.Partition(s.Subject)}, g.fanOut(ctx, p)
	}
	if err := g.complete(ctx, run, p); err != nil {
		return p, nil, err
	}
	for _, subject := range p.subjects() {
		touched = append(touched, incident.Partition(subject))
		if err := g.bringUpToDate(ctx, p, subject); err != nil {
			return p, touched, fmt.Errorf("subject %s: %w", subject, err)
		}
	}
	ended, err := g.bury(ctx, run, p)
	if touched = append(touched, ended...); err == nil {
		err = g.lookAgain(ctx, p)
	}
	if err != nil {
		return p, touched, err
	}
	if call := p.unread(); call != "" && !lastTry {
		// What is known is told and done. A read that failed may succeed later,
		// and may be all that holds a plan: the signal comes again.
		return p, touched, fault.New(fault.Transient, "guard.assess", "%s could not be read", call)
	}
	return p, touched, nil
}

// complete adds to the picture what else is read and what is stored.
func (g *Guard) complete(ctx context.Context, run Survey, p *picture) error {
	if err := g.judgeAgain(ctx, p); err != nil {
		return err
	}
	if err := g.addKeys(ctx, run, p); err != nil {
		return err
	}
	if err := g.addPointedBack(ctx, p); err != nil {
		return err
	}
	if err := g.addRival(ctx, p); err != nil {
		return err
	}
	g.addUses(ctx, p)
	if err := g.addHolds(ctx, p); err != nil {
		return err
	}
	if err := g.inventory(ctx, p); err != nil {
		return err
	}
	return g.enroll(ctx, p)
}

// lookAgain queues the look after which people are told of what still cannot be
// answered. Such a look queues no other, and each other look one at most: what comes and
// goes would have them multiply.
func (g *Guard) lookAgain(ctx context.Context, p *picture) error {
	if !p.blurred || p.signal.Kind == event.Again {
		return nil
	}
	m := lookMessage(p.signal.Subject, p.signal.Key)
	m.Hint = event.Again
	return g.send(ctx, m, incident.UnclearAfter+time.Second)
}

// subjects are those that were judged, and the signal's own.
func (p *picture) subjects() []event.Subject {
	out := slices.SortedFunc(maps.Keys(p.verdicts), func(a, b event.Subject) int {
		return cmp.Compare(a.String(), b.String())
	})
	if !slices.Contains(out, p.signal.Subject) {
		out = append(out, p.signal.Subject)
	}
	return out
}

// unread returns a call whose fact could not be read, or "".
func (p *picture) unread() string {
	if p.muffled != "" {
		return p.muffled
	}
	for _, w := range p.wirings {
		for _, f := range []struct {
			state wiring.State
			call  string
		}{
			{w.Cluster.State, w.Cluster.Call}, {w.Identity.State, w.Identity.Call}, {w.Vault.State, w.Vault.Call},
			{w.Versions.State, w.Versions.Call}, {w.InUse.State, w.InUse.Call}, {w.Rotation.State, w.Rotation.Call},
			{w.Assignments.State, w.Assignments.Call}, {w.Definitions.State, w.Definitions.Call}, {w.Denies.State, w.Denies.Call},
		} {
			if f.state == wiring.Unreadable {
				return f.call
			}
		}
	}
	return ""
}

// look reads and judges the wiring of every cluster that the signal's subject
// touches. It needs no storage.
func (g *Guard) look(ctx context.Context, run Survey, s event.Signal) *picture {
	p := &picture{
		run: run, signal: s, now: g.Now(), keys: map[string]keyPicture{},
		verdicts: map[event.Subject][]risk.Verdict{}, impact: map[event.Subject][]wiring.Cluster{},
	}
	clusters := g.clustersOf(ctx, run, p)
	if p.parts = split(s, clusters); p.parts != nil {
		return p
	}
	for _, c := range clusters {
		w := run.Wiring(ctx, c.ID)
		if w.Cluster.State == wiring.Absent { // deleted since
			p.gone = append(p.gone, w)
			continue
		}
		if !touches(s, w) {
			continue
		}
		if wide(s) {
			w = run.Ears(ctx, w, g.Policy.Declared.Events.TopicOf(w.Vault.Value.ID))
		}
		p.wirings = append(p.wirings, w)
		g.judge(p, w)
	}
	return p
}

// addKeys reads what plans about the keys rest on, and judges the keys'
// provenance by what is stored about our own rotations.
func (g *Guard) addKeys(ctx context.Context, run Survey, p *picture) error {
	for _, w := range p.wirings {
		k := w.Key()
		if _, ok := p.keys[k.ID()]; ok || k.IsZero() {
			continue
		}
		facts, err := g.keyFacts(ctx, run, k)
		if err != nil {
			return err
		}
		since, err := g.watchedSince(ctx, k)
		if err != nil {
			return err
		}
		p.keys[k.ID()] = keyPicture{facts: facts, since: since}
		p.addProvenance(p.keys[k.ID()])
	}
	return g.addQuarantine(ctx, p)
}

func (g *Guard) clustersOf(ctx context.Context, run Survey, p *picture) []wiring.Cluster {
	var clusters []wiring.Cluster
	switch s := p.signal; s.Subject.Kind {
	case event.SubjectKey:
		c := run.Consumers(ctx, s.Key.Base())
		clusters, p.complete, p.why = c.Clusters, c.Complete, c.Why
	case event.SubjectVault:
		clusters, p.complete, p.why = run.ClustersOfVault(ctx, s.Vault)
	case event.SubjectCluster:
		id, err := azureid.ParseResource(s.Subject.ID)
		if err != nil {
			p.complete, p.why = true, "the subject is no resource id"
			return nil
		}
		clusters, p.complete = []wiring.Cluster{{ID: id}}, true
	case event.SubjectIdentity, event.SubjectScope:
		if aboutEars(s.Kind) { // of a topic: nothing of a chain hangs on it but the vault's events
			p.complete = true
			return g.clustersOfTopic(ctx, run, s)
		}
		// What a scope's change means for a key cannot be told from the scope: a
		// vault may lie in another subscription than its clusters.
		clusters, p.complete, p.why = run.Keyed(ctx)
	}
	return clusters
}

// touches reports whether the wiring, now that it is read, has to do with the
// signal's subject. One that could not be read may.
func touches(s event.Signal, w wiring.Wiring) bool {
	if s.Subject.Kind == event.SubjectIdentity && w.Cluster.OK() {
		cmk := w.Cluster.Value.CMK
		return cmk != nil && cmk.IdentityID.Key() == s.Subject.ID
	}
	return true
}

// judge evaluates one wiring; of two answers about one subject (a key seen by
// two clusters) the worse stays.
func (g *Guard) judge(p *picture, w wiring.Wiring) {
	for _, v := range risk.Judge(w, g.Policy.Limits.Risk, p.now, asked(p.signal)) {
		if v.Subject.ID == "" {
			continue
		}
		p.add(v)
		if w.Cluster.OK() && !slices.ContainsFunc(p.impact[v.Subject], func(c wiring.Cluster) bool { return c.ID.Equal(w.ID) }) {
			p.impact[v.Subject] = append(p.impact[v.Subject], w.Cluster.Value)
		}
	}
	g.judgeReads(p, w)
	g.judgeOwner(p, w)
}

// add takes a verdict in; of two about the same the worse stays.
func (p *picture) add(v risk.Verdict) {
	list := p.verdicts[v.Subject]
	at := slices.IndexFunc(list, func(o risk.Verdict) bool { return o.Check == v.Check })
	switch {
	case at < 0:
		p.verdicts[v.Subject] = append(list, v)
	case worse(v, list[at]):
		list[at] = v
	}
}

// asked selects the checks of a look: those of the chain itself always. The sweep's
// looks, and those before and after something is done, ask more of the rotation
// policy, which is read anyway.
func asked(s event.Signal) risk.Selection {
	switch {
	case wide(s):
		return risk.OnSignal().Or(risk.Select("CMK-022", "CMK-040", "CMK-063"))
	case s.Kind == event.Glance:
		return risk.OnSignal().Or(risk.Select("CMK-022"))
	}
	return risk.OnSignal()
}

// wide reports whether the look also asks what would tell us of the vault: those
// before and after something is done do, those at what a signal says of our ears,
// and one per vault of the sweep's.
func wide(s event.Signal) bool {
	return s.Kind == event.Recheck || s.Kind == event.Swept || aboutEars(s.Kind)
}

func worse(a, b risk.Verdict) bool {
	rank := map[risk.Answer]int{risk.OK: 0, risk.Unknown: 1, risk.Broken: 2}
	return cmp.Or(cmp.Compare(rank[a.Answer], rank[b.Answer]), cmp.Compare(a.Severity.Rank(), b.Severity.Rank())) > 0
}

// keyFacts reads what plans about the key rest on: every consumer's wiring,
// whether the signal touched it or not.
func (g *Guard) keyFacts(ctx context.Context, run Survey, k azureid.Key) (plan.Facts, error) {
	f := plan.Facts{Key: k, Consumers: run.Consumers(ctx, k.Base())}
	for _, c := range f.Consumers.Clusters {
		w := run.Wiring(ctx, c.ID)
		f.Wirings = append(f.Wirings, w)
		if w.Versions.State != wiring.NotRead {
			f.Versions, f.Rotation = w.Versions, w.Rotation
		}
	}
	made, err := remedy.Made(ctx, g.State, keyPartition(k), plan.Rotate, createdTimes(f.Versions))
	f.OurVersions = made
	return f, asRecordError(err)
}

func createdTimes(f wiring.Fact[[]wiring.KeyVersion]) map[string]time.Time {
	out := make(map[string]time.Time, len(f.Value))
	for _, v := range f.Value {
		out[v.Key.Version] = v.Created
	}
	return out
}

func keyPartition(k azureid.Key) string {
	return incident.Partition(event.Subject{Kind: event.SubjectKey, ID: k.ID()})
}

// addProvenance judges who made the newest version (CMK-067). A version of
// unknown origin that not every consumer uses yet is critical: it is nobody's
// recorded intent, and managed caches adopt it by themselves. Of one that all use
// and that was there before us nothing is claimed: that would call a stranger's
// version good.
func (p *picture) addProvenance(k keyPicture) {
	f := k.facts
	newest, ok := wiring.Newest(f.Versions.Value)
	if !ok || len(f.Versions.Value) < 2 {
		return
	}
	origin, why := plan.OriginOf(newest, f.Versions.Value, f.Rotation, f.OurVersions)
	subject := event.Subject{Kind: event.SubjectKey, ID: f.Key.ID()}
	v := risk.Verdict{
		Check: "CMK-067", Title: "Every key version has a known maker", Subject: subject, Severity: risk.Critical,
		Why:      "version " + newest.Key.Version + ": " + why,
		Guidance: "Find out who created the version (Key Vault AuditEvent: KeyCreate, KeyImport, KeyRotate). Clusters are not moved to it by us; Azure Managed Redis adopts it within two hours unless a newer version of yours replaces it.",
		Evidence: []risk.Evidence{{Call: f.Versions.Call, At: f.Versions.At, Value: newest.Key.Version + " created " + newest.Created.UTC().Format(time.RFC3339)}},
	}
	switch {
	case origin != plan.OriginUnknown:
		v.Answer = risk.OK
	case everyoneUses(f.Consumers.Clusters, newest.Key) && !k.madeUnderOurEyes(newest.Created):
		return
	default:
		v.Answer = risk.Broken
		v.Breaks = "caches would be encrypted under key material whose maker nobody recorded"
	}
	p.verdicts[subject] = append(p.verdicts[subject], v)
}

func everyoneUses(clusters []wiring.Cluster, k azureid.Key) bool {
	for _, c := range clusters {
		if c.CMK == nil || !c.CMK.Key.Equal(k) {
			return false
		}
	}
	return len(clusters) > 0
}

// entryFor records a verdict that changed an incident, with the reads behind it.
func entryFor(s event.Signal, i incident.Incident, change incident.Change) journal.Entry {
	v := i.Verdict
	return journal.Entry{
		Kind: journal.KindIncident, Subject: v.Subject.String(), Ref: s.ID,
		Text: fmt.Sprintf("%s %s: %s", v.Check, change, v.Why), Body: encode(v),
	}
}
