package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/guard"
	"cmkguard/internal/limit"
	"cmkguard/internal/metric"
	"cmkguard/internal/store"
	"cmkguard/internal/store/memstore"
)

// dryGuard builds a guard that is only rehearsed with: what it reads is live, and it
// makes nothing that was not there: no directory, no key, no row. Without
// CMKGUARD_STATE nothing is known of what was before.
func dryGuard(ctx context.Context, p Process) (*guard.Guard, func() error, error) {
	s, fatal, problems := readSettings(p.Env)
	stateless := p.Env("CMKGUARD_STATE") == ""
	if len(fatal) > 0 && !stateless {
		return nil, nil, exitError{exitUsage, errors.New(strings.Join(fatal, "; "))}
	}
	profile, err := cloud.Load(s.Cloud)
	if err != nil {
		return nil, nil, exitError{exitUsage, fmt.Errorf("CMKGUARD_CLOUD=%s: %w", s.Cloud, err)}
	}
	now := profile.Clock()
	state, closer, err := dryState(ctx, s, profile, stateless)
	if err != nil {
		return nil, nil, err
	}
	pol, problem := readPolicy(s.Policy)
	problems = appendProblem(problems, problem)
	_, more := (&channelMaker{process: p, profile: profile, settings: s, state: memstore.New(now)}).all(pol)
	problems = append(problems, more...)
	g := &guard.Guard{Cloud: profile.Cloud, Policy: pol, CanWrite: s.Remediator != "", State: state, Now: now, PublicURL: s.PublicURL}
	problems = appendProblem(append(problems, dryKeys(g, s, stateless)...), heartbeatOf(g, pol, p.Env, metric.New(p.Version, now)))
	// The rate is not shared with the running process, for that is written too.
	if err := connect(g, profile.WithGate(limit.New(memstore.New(now), now)).WithPatience(patience), s, now); err != nil {
		problems = append(problems, err.Error())
	}
	if g.Survey == nil {
		_ = closer()
		return nil, nil, exitError{exitUsage, errors.New(strings.Join(problems, "; "))}
	}
	g.Observe = strings.Join(problems, "; ")
	return g, closer, nil
}

func dryState(ctx context.Context, s Settings, profile cloud.Profile, stateless bool) (store.State, func() error, error) {
	if stateless {
		return memstore.New(profile.Clock()), func() error { return nil }, nil
	}
	if s.Storage == nil {
		if _, err := os.Stat(s.StateDir); err != nil {
			return nil, nil, exitError{exitFailed, err}
		}
	}
	b, closer, err := openBackend(ctx, s, profile, profile.Clock())
	if err != nil {
		return nil, nil, exitError{exitFailed, err}
	}
	return b.State, closer, nil
}

// dryKeys reads the keys that the running process has, and says of those that it
// lacks what the process would say.
func dryKeys(g *guard.Guard, s Settings, stateless bool) (problems []string) {
	if stateless {
		return nil
	}
	if _, err := readJournalKey(s); err != nil && s.Storage != nil && s.JournalKey == "" {
		problems = append(problems, err.Error())
	}
	if s.Storage == nil && s.Approvals.Key == "" {
		if _, err := os.Stat(filepath.Join(s.StateDir, approvalKeyFile)); errors.Is(err, fs.ErrNotExist) {
			return problems // nobody can have decided anything
		}
	}
	var err error
	if g.People, err = peopleSeal(s); err != nil {
		problems = append(problems, err.Error())
	}
	return problems
}
