package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/azure/survey"
	"cmkguard/internal/azureid"
	"cmkguard/internal/findings"
	"cmkguard/internal/guard"
	"cmkguard/internal/limit"
	"cmkguard/internal/policy"
	"cmkguard/internal/risk"
	"cmkguard/internal/store/memstore"
	"cmkguard/internal/wiring"
)

const (
	// lookers is how many clusters are read at once. The gate keeps them under the
	// services' rates, and per vault under Key Vault's.
	lookers = 8
	// renewAfter is when a look reads anew what clusters share: well before risk
	// would call it too old to be judged.
	renewAfter = 10 * time.Minute
	// patience is how long a call of the command line waits for its turn.
	patience = 10 * time.Minute
)

// look is one run over what was asked for.
type look struct {
	survey *survey.Survey
	run    *survey.Run
	since  time.Time // when run began
	cloud  azureid.Cloud
	now    func() time.Time
	limits risk.Limits
	depth  survey.Depth
	asked  risk.Selection
	named  []azureid.Resource
	chain  map[string]bool // the checks of the chain itself
	told   []string        // what our own channels tell people of: wiring.Alerting.Own
	uses   *guard.Guard    // where claims of use are kept; nil without state
	close  func() error
	before findings.Earlier // what an interrupted run has written
}

func (l *look) connect(p Process) error {
	s, _, _ := readSettings(p.Env)
	if len(s.Subscriptions) == 0 {
		return errors.New("CMKGUARD_SUBSCRIPTIONS is not set: name the subscription ids to look at, comma-separated")
	}
	profile, err := cloud.Load(s.Cloud)
	if err != nil {
		return fmt.Errorf("CMKGUARD_CLOUD=%s: %w", s.Cloud, err)
	}
	l.cloud = profile.Cloud
	pol := policy.Default()
	if s.Policy != "" {
		var problem string
		if pol, problem = readPolicy(s.Policy); problem != "" {
			return errors.New(problem)
		}
	}
	l.now, l.limits, l.told = profile.Clock(), pol.Limits.Risk, ownAlerts(pol)
	l.chain = map[string]bool{}
	for _, c := range risk.Catalogue() {
		l.chain[c.ID] = c.Cadence == risk.CadenceSignal
	}
	cred, err := profile.Credential(s.Observer)
	if err != nil {
		return fmt.Errorf("CMKGUARD_OBSERVER_CLIENT_ID: %w", err)
	}
	// No state to share a rate through: this process keeps to it by itself.
	gate := limit.New(memstore.New(l.now).Backend().State, l.now)
	subscriptions := slices.Sorted(slices.Values(s.Subscriptions)) // the order of the pages is that of the next run
	if l.survey, err = survey.Connect(profile.WithGate(gate).WithPatience(patience), cred, subscriptions, l.now); err != nil {
		return err
	}
	l.renew()
	return l.openUses(p, s, profile)
}

// openUses opens the state that claims of use are kept in, where a setting names
// one: then the check of use (CMK-057) is asked too.
func (l *look) openUses(p Process, s Settings, profile cloud.Profile) error {
	l.close = func() error { return nil }
	if p.Env("CMKGUARD_STATE") == "" || l.depth == survey.DepthSignal {
		return nil
	}
	b, closer, err := openBackend(context.Background(), s, profile, l.now)
	if err != nil {
		return fmt.Errorf("CMKGUARD_STATE: %w", err)
	}
	l.uses, l.close = &guard.Guard{State: b.State, Now: l.now}, closer
	l.asked = l.asked.Or(risk.Select("CMK-057"))
	return nil
}

// ownAlerts: whoever has a channel that reaches people is told of all three. A
// console reaches those who read it.
func ownAlerts(p *policy.Policy) []string {
	if !slices.ContainsFunc(p.Channels, func(c policy.Channel) bool { return c.Kind != "console" }) {
		return nil
	}
	return []string{"rotation-failure", "pending-expiry", "access-change"}
}

func (l *look) renew() { l.run, l.since = l.survey.Run(), l.now() }

// over looks at what was asked for and tells sink.
func (l *look) over(ctx context.Context, sink *findings.Sink, bar *progress) error {
	defer bar.done()
	if len(l.named) > 0 {
		return l.each(ctx, one(l.named), len(l.named), sink, bar)
	}
	ids, complete, why := l.run.All(ctx)
	if !complete {
		sink.Incomplete(why)
	}
	switch {
	case len(ids) == 0 && !complete:
		return fmt.Errorf("no cluster could be seen: %s", why)
	case l.depth == survey.DepthSignal:
		return l.each(ctx, one(ids), len(ids), sink, bar)
	}
	err := l.run.Pages(ctx, func(page []survey.Listed) error {
		if l.now().Sub(l.since) > renewAfter {
			l.renew()
		}
		return l.each(ctx, page, len(ids), sink, bar)
	})
	if err != nil {
		return err
	}
	return l.classic(ctx, sink)
}

// one makes a list of clusters that are each read by themselves.
func one(ids []azureid.Resource) []survey.Listed {
	out := make([]survey.Listed, len(ids))
	for i, id := range ids {
		out[i].ID = id
	}
	return out
}

// each judges the clusters, several at once, and tells sink in their order.
func (l *look) each(ctx context.Context, page []survey.Listed, all int, sink *findings.Sink, bar *progress) error {
	page = spread(slices.DeleteFunc(slices.Clone(page), func(c survey.Listed) bool { return l.before.Has(c.ID.Key()) }))
	for batch := range slices.Chunk(page, 10*lookers) {
		if err := ctx.Err(); err != nil {
			return err
		}
		found := make([][]findings.Finding, len(batch))
		next := make(chan int)
		var done sync.WaitGroup
		for range lookers {
			done.Go(func() {
				for i := range next {
					found[i] = l.judge(ctx, batch[i])
				}
			})
		}
		for i := range batch {
			next <- i
		}
		close(next)
		done.Wait()
		if err := ctx.Err(); err != nil { // what was read after that is failed reads
			return err
		}
		for _, f := range found {
			if err := sink.Add(f); err != nil {
				return err
			}
		}
		bar.step(len(batch), all)
	}
	return nil
}

// spread takes clusters from each subscription in turn: Resource Manager counts
// calls per subscription, and a page is sorted by it.
func spread(page []survey.Listed) []survey.Listed {
	var order []string
	of := map[string][]survey.Listed{}
	for _, c := range page {
		s := strings.ToLower(c.ID.Subscription())
		if of[s] == nil {
			order = append(order, s)
		}
		of[s] = append(of[s], c)
	}
	out := make([]survey.Listed, 0, len(page))
	for len(out) < len(page) {
		for _, s := range order {
			if len(of[s]) > 0 {
				out, of[s] = append(out, of[s][0]), of[s][1:]
			}
		}
	}
	return out
}

// judge reads and judges one cluster. What a list shows broken is read by itself
// before anybody is told: lists lag.
func (l *look) judge(ctx context.Context, c survey.Listed) []findings.Finding {
	if c.Fact.State == wiring.NotRead {
		return l.verdicts(ctx, l.run.Wiring(ctx, c.ID))
	}
	out := l.verdicts(ctx, l.run.Listed(ctx, c))
	if slices.ContainsFunc(out, l.doubtful) {
		return l.verdicts(ctx, l.run.Wiring(ctx, c.ID))
	}
	return out
}

// doubtful: a check of the chain itself, by a list. What stands around a chain
// was read live.
func (l *look) doubtful(f findings.Finding) bool {
	return f.Answer == risk.Broken && f.Severity.Rank() >= risk.High.Rank() && l.chain[f.Check] &&
		slices.ContainsFunc(f.Evidence, func(e risk.Evidence) bool { return survey.FromList(e.Call) })
}

func (l *look) verdicts(ctx context.Context, w wiring.Wiring) []findings.Finding {
	w = l.run.Around(ctx, w, survey.Options{Depth: l.depth, OwnAlerts: l.told})
	if l.uses != nil && !w.Key().IsZero() {
		w.Posture.Use = l.uses.UseFact(ctx, w)
	}
	return l.findings(w)
}

func (l *look) findings(w wiring.Wiring) []findings.Finding {
	var out []findings.Finding
	for _, v := range risk.Judge(w, l.limits, l.now(), l.asked) {
		out = append(out, findings.Finding{Verdict: v, Name: w.ID.Name(), Owner: w.Cluster.Value.Tags["owner"]})
	}
	return out
}

// classic adds the caches of tiers that cannot have a customer-managed key.
func (l *look) classic(ctx context.Context, sink *findings.Sink) error {
	ws, err := l.run.Classic(ctx)
	if err != nil {
		sink.Incomplete("the Basic, Standard and Premium caches could not be listed: " + err.Error())
		return nil //nolint:nilerr // said in the report
	}
	for _, w := range ws {
		f := slices.DeleteFunc(l.findings(w), func(f findings.Finding) bool { return f.Check != "CMK-002" && f.Check != "CMK-001" })
		if err := sink.Add(f); err != nil {
			return err
		}
	}
	return nil
}

// goOn opens the file of an interrupted run, drops the cluster that it was cut
// off in, and remembers those that it has.
func (l *look) goOn(name string) (f *os.File, err error) {
	f, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
		}
	}()
	var end int64
	if l.before, end, err = findings.ReadEarlier(f); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err = f.Truncate(end); err != nil {
		return nil, err
	}
	_, err = f.Seek(end, io.SeekStart)
	return f, err
}
