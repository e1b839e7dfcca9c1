package app

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"cmkguard/internal/alert"
	"cmkguard/internal/approval/entra"
	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/azure/cluster"
	"cmkguard/internal/azure/survey"
	"cmkguard/internal/azure/vault"
	"cmkguard/internal/guard"
	"cmkguard/internal/journal"
	"cmkguard/internal/limit"
	"cmkguard/internal/metric"
	"cmkguard/internal/remedy"
	"cmkguard/internal/store"
)

// pollEvery is how long to wait between looks at an operation under way.
const pollEvery = 15 * time.Second

// world is everything that was built, for its user to close.
type world struct {
	guard   *guard.Guard
	profile cloud.Profile
	meter   *metric.Meter
	prover  *entra.Verifier // nil: nobody can decide over HTTP, and why
	noProof error
	reader  *vault.Client // as the observer
	backend store.Backend
	now     func() time.Time
	close   func()
}

// build makes the parts. It fails only when state cannot be opened or the
// cloud is not known (no clock, no endpoints): everything else leaves the
// guard observing, with the reason.
func build(ctx context.Context, s Settings, problems []string, p Process, log zerolog.Logger) (*world, error) {
	profile, err := cloud.Load(s.Cloud)
	if err != nil {
		return nil, fmt.Errorf("CMKGUARD_CLOUD=%s: %w", s.Cloud, err)
	}
	now := profile.Clock()
	drift := cloud.NewDrift(now)
	profile = profile.WithDrift(drift)
	b, closer, err := openBackend(ctx, s, profile, now)
	if err != nil {
		return nil, err
	}
	meter := metric.New(p.Version, now)
	rec := meter.Recorder(journal.NewRecorder(b.State, p.Version, now))
	seal, problem, err := sequencer(s, b, p.Version, now, log)
	if err != nil {
		_ = closer()
		return nil, err
	}
	problems = appendProblem(problems, problem)
	pol, problem := readPolicy(s.Policy)
	problems = appendProblem(problems, problem)
	channels, more := (&channelMaker{process: p, profile: profile, settings: s, state: b.State}).all(pol)
	g := &guard.Guard{
		Cloud: profile.Cloud, Policy: pol, CanWrite: s.Remediator != "",
		State: b.State, Queue: b.Queue, Rec: rec,
		Alerts: alert.NewDispatcher(b.State, rec, meter.Channels(channels), now, jitter).Under(alertRules(pol, b.State, now)),
		Seal:   seal,
		Now:    now, NewID: uuid.NewString,
		Reconcile: pol.Limits.ReconcileEvery, PublicURL: s.PublicURL, Refresh: refresher(channels, log), Ourselves: ourselves(s), Watch: guard.Watch{Beats: true, Clock: drift, Losses: true, Subscriptions: s.Subscriptions},
		Effects: &remedy.Runner{State: b.State, Rec: rec, Now: now, NewID: uuid.NewString, Poll: pollEvery},
	}
	problems = appendProblem(append(problems, more...), heartbeatOf(g, pol, p.Env, meter))
	g.Observe = strings.Join(append(problems, equip(g, s, profile, limit.New(b.State, now), now)...), "; ")
	return newWorld(g, meter, profile, b, s, now, func() { _ = closer() }), nil
}

// equip gives the guard what it can also do without, and returns what failed.
func equip(g *guard.Guard, s Settings, profile cloud.Profile, gate cloud.Gate, now func() time.Time) (problems []string) {
	var err error
	if g.People, err = peopleSeal(s); err != nil {
		problems = append(problems, err.Error())
	}
	if g.Letters.Box, err = openLetters(s, profile); err != nil {
		problems = append(problems, err.Error())
	}
	g.Watch.DeadLetters = &g.Letters
	if err := connect(g, gated(profile, s, gate), s, now); err != nil {
		problems = append(problems, err.Error())
	}
	return problems
}

// gated keeps calls under the services' rates.
func gated(profile cloud.Profile, s Settings, gate cloud.Gate) cloud.Profile {
	profile = profile.WithGate(gate)
	if s.Patience > 0 {
		profile = profile.WithPatience(s.Patience)
	}
	return profile
}

// newWorld adds what only commands and pages need.
func newWorld(g *guard.Guard, meter *metric.Meter, profile cloud.Profile, b store.Backend, s Settings, now func() time.Time, closer func()) *world {
	w := &world{guard: g, meter: meter, profile: profile, backend: b, now: now, close: closer}
	if cred, err := profile.Credential(s.Observer); err == nil {
		w.reader, _ = vault.New(profile, cred, now) // an error is among the problems already
	}
	w.prover, w.noProof = prover(profile, s)
	return w
}

// ourselves are the client ids that logs name us by.
func ourselves(s Settings) (ids []string) {
	for _, id := range []string{s.Observer, s.Remediator} {
		if id != "" {
			ids = append(ids, strings.ToLower(id))
		}
	}
	return ids
}

func appendProblem(problems []string, problem string) []string {
	if problem == "" {
		return problems
	}
	return append(problems, problem)
}

// sequencer returns what seals the journal. Without its key an embedded store is
// unusable; an account's is used without being sealed, observing.
func sequencer(s Settings, b store.Backend, version string, now func() time.Time, log zerolog.Logger) (seal guard.Sequencer, problem string, err error) {
	signer, verifier, err := journalKey(s)
	switch {
	case err == nil:
		log.Info().Str("verifier", verifier).Msg("journal checkpoints are signed with this key")
		return journal.NewSequencer(b, signer, version, now), "", nil
	case s.Storage == nil:
		return nil, "", fmt.Errorf("journal key %s: %w", journalKeyPath(s), err)
	}
	return unsealed{err}, err.Error(), nil
}

// connect gives the guard its Azure clients: reads as the observer, writes as
// the remediator.
func connect(g *guard.Guard, profile cloud.Profile, s Settings, now func() time.Time) error {
	observer, err := profile.Credential(s.Observer)
	if err != nil {
		return fmt.Errorf("CMKGUARD_OBSERVER_CLIENT_ID: %w", err)
	}
	remediator := observer // reads only, while nothing can write
	if s.Remediator != "" {
		if remediator, err = profile.Credential(s.Remediator); err != nil {
			return fmt.Errorf("CMKGUARD_REMEDIATOR_CLIENT_ID: %w", err)
		}
	}
	sv, err := survey.Connect(profile, observer, s.Subscriptions, now)
	if err != nil {
		return err
	}
	g.Survey = func() guard.Survey { return sv.Run() }
	g.Watch.Remediator = owner{profile, remediator}
	if g.Vault, err = vault.New(profile, remediator, now); err != nil {
		return err
	}
	if g.Clusters, err = cluster.New(profile, remediator, now); err != nil {
		return err
	}
	if g.Watch.Rights, err = ownRights(profile, observer, remediator, s, now); err != nil {
		return err
	}
	if s.Remediator == "" {
		g.Vault, g.Clusters = keysToRead{g.Vault}, clustersToRead{g.Clusters}
		return nil
	}
	g.Repairs, err = repairsAs(profile, remediator, now)
	return err
}

// owner tells whose tokens a credential gives.
type owner struct {
	profile cloud.Profile
	cred    azcore.TokenCredential
}

// Principal implements guard.Identity.
func (o owner) Principal(ctx context.Context) (string, error) {
	return o.profile.ObjectID(ctx, o.cred)
}

// jitter is a random number in [0, 1).
func jitter() float64 {
	n, err := rand.Int(rand.Reader, big.NewInt(1<<20))
	if err != nil {
		return 0.5 // no randomness: everybody waits the same
	}
	return float64(n.Int64()) / (1 << 20)
}
