package risk

import (
	"time"

	"cmkguard/internal/event"
	"cmkguard/internal/wiring"
)

// Evaluate answers the checks of the chain itself (CadenceSignal) about one
// wiring: Judge with OnSignal.
func Evaluate(w wiring.Wiring, lim Limits, now time.Time) []Verdict {
	return Judge(w, lim, now, OnSignal())
}

// Judge answers the selected checks about one wiring, in catalogue order, one
// verdict each. A fact that was not read, could not be read or is too old makes
// the checks that need it Unknown, never OK; limits that are zero take their
// defaults.
//
// A cluster that is known to have no customer-managed key is asked only the
// checks that are about clusters without one too (Check.WithoutKey): there is no
// key, vault or identity for the others to be about, and neither "ok" nor
// "unknown" would be true of them. A cache of a type that cannot have such a key
// at all is asked only about that and its tags.
func Judge(w wiring.Wiring, lim Limits, now time.Time, sel Selection) []Verdict {
	lim = lim.orDefaults()
	applies := applicable(&w, lim, now)
	out := []Verdict{}
	for _, sp := range catalogue() {
		if !sel(sp.Check) || !applies(sp.Check) {
			continue
		}
		s := &scene{w: &w, lim: lim, now: now, evidence: []Evidence{}}
		out = append(out, s.verdict(sp, sp.judge(s)))
	}
	return out
}

func applicable(w *wiring.Wiring, lim Limits, now time.Time) Selection {
	switch {
	case isClassic(w):
		return Select("CMK-002", "CMK-061")
	case hasNoCMK(w, lim, now):
		return func(c Check) bool { return c.WithoutKey }
	}
	return Everything()
}

func hasNoCMK(w *wiring.Wiring, lim Limits, now time.Time) bool {
	s := &scene{w: w, lim: lim, now: now}
	c, ok := s.cluster()
	return ok && c.CMK == nil
}

// verdict joins a finding to its check. What the finding leaves empty is the
// check's.
func (s *scene) verdict(sp spec, f finding) Verdict {
	v := Verdict{
		Check:    sp.ID,
		Title:    sp.Title,
		Subject:  s.subject(sp.SubjectKind),
		Cluster:  s.clusterID(),
		Answer:   f.answer,
		Why:      f.why,
		Severity: sp.Severity,
		Guidance: sp.Guidance,
		Evidence: s.evidence,
	}
	if f.severity != "" {
		v.Severity = f.severity
	}
	if f.answer != Broken {
		return v
	}
	v.Remedy = f.remedy
	v.Breaks = sp.Breaks
	if f.breaks != "" {
		v.Breaks = f.breaks
	}
	if !f.by.IsZero() {
		by := f.by.UTC()
		v.By = &by
	}
	v.Reasons = append([]string{}, f.reasons...)
	if len(v.Reasons) == 0 {
		v.Reasons = append(v.Reasons, string(v.Severity)+": "+v.Breaks)
	}
	if worse, why := s.heavier(v.Severity); why != "" {
		v.Severity = worse
		v.Reasons = append(v.Reasons, why)
	}
	return v
}

func (s *scene) clusterID() string {
	if s.w.ID.IsZero() && s.w.Cluster.OK() {
		return s.w.Cluster.Value.ID.Key()
	}
	return s.w.ID.Key()
}

// subject returns what a check of the kind is about. Where the chain cannot be
// followed that far (the cluster or the vault was not read), it is the cluster:
// the nearest thing that is known by name.
func (s *scene) subject(kind event.SubjectKind) event.Subject {
	switch kind {
	case event.SubjectKey:
		if k := s.w.Key(); !k.IsZero() {
			return event.Subject{Kind: kind, ID: k.ID()}
		}
	case event.SubjectVault:
		if id := s.w.Vault.Value.ID; !id.IsZero() {
			return event.Subject{Kind: kind, ID: id.Key()}
		}
	case event.SubjectCluster, event.SubjectIdentity, event.SubjectScope:
	}
	return event.Subject{Kind: event.SubjectCluster, ID: s.clusterID()}
}
