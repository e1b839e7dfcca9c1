package loss

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"cmkguard/internal/event"
	"cmkguard/internal/risk"
)

// The checks about losses. docs/losses.md explains each.
const (
	GridLost  = "LOSS-001"
	LogLost   = "LOSS-002"
	OnlySweep = "LOSS-003"
)

// check is one question.
type check struct {
	title, breaks, guidance string
	severity                risk.Severity
}

func checks() map[string]check {
	return map[string]check{
		GridLost: {
			"Every event that the vault's log says was published came, and was worked on",
			"what Event Grid should have told at once is known only from the log, or an hour later",
			"Look at the vault's system topic and its event subscription (metrics: delivery failed, dropped, dead-lettered): deploy infra/vault.bicep again if it is gone. cmkguard audit losses --day names each.",
			risk.Medium,
		},
		LogLost: {
			"The vault's log tells of every event that Event Grid delivered, and was worked on",
			"a deleted or disabled key has no event: without the log it is known only when a sweep looks",
			"Look at the vault's diagnostic setting and the Event Hub: retention, throughput, and whether vaultlogs lags behind. cmkguard audit losses --day names each.",
			risk.Medium,
		},
		OnlySweep: {
			"Nothing changed of which no source told",
			"what changed was known up to an hour late, and would not have been known at all without the sweep",
			"Look at which source should have told (named above), and whether it reaches us at all: event subscriptions of the vault and of the subscription, diagnostic settings.",
			risk.High,
		},
	}
}

// named is how many gaps a verdict names; the statement names all.
const named = 5

// Verdicts answers the checks for each vault and subject by a closed day; before is
// the statement of the day before, whose gaps may be over.
func Verdicts(s Statement, before Statement, vaults []string) []risk.Verdict {
	var out []risk.Verdict
	silent := map[string]bool{}
	for _, v := range s.Silent {
		silent[v] = true
	}
	all := slices.Sorted(maps.Keys(set(vaults, gapVaults(s), gapVaults(before))))
	for i, id := range []string{GridLost, LogLost} {
		for _, v := range all {
			out = append(out, s.ofVault(id, s.Accounts[i], v, silent[v]))
		}
	}
	found := map[event.Subject][]string{}
	for _, f := range before.Found {
		found[f.Subject] = nil
	}
	for _, f := range s.Found {
		found[f.Subject] = append(found[f.Subject], fmt.Sprintf("%s (%s, %s, at %s; %s should have told)", f.Why, f.Check, f.Change, f.At.UTC().Format("15:04"), strings.Join(f.SourcesOf(), " or ")))
	}
	for _, subject := range slices.SortedFunc(maps.Keys(found), func(a, b event.Subject) int { return strings.Compare(a.String(), b.String()) }) {
		out = append(out, s.verdict(OnlySweep, subject, found[subject], ""))
	}
	return out
}

func (s Statement) ofVault(id string, a Account, vault string, silent bool) risk.Verdict {
	var gaps []string
	for _, g := range slices.Concat(a.Lost, a.Waiting) {
		if g.Vault == vault {
			gaps = append(gaps, g.String())
		}
	}
	why := ""
	switch {
	case s.Over:
		why = a.Unknown
	case silent:
		why = "the log told nothing of this vault on " + s.Date + ", so that nothing is known of what was lost"
	}
	return s.verdict(id, event.Subject{Kind: event.SubjectVault, ID: vault}, gaps, why)
}

// verdict is broken by gaps, unknown for why, and ok otherwise.
func (s Statement) verdict(id string, subject event.Subject, gaps []string, why string) risk.Verdict {
	c := checks()[id]
	v := risk.Verdict{
		Check: id, Title: c.title, Subject: subject, Severity: c.severity, Guidance: c.guidance, Answer: risk.OK,
		Why:      "on " + s.Date + " nothing was lost, as far as the two sources witness each other",
		Evidence: []risk.Evidence{{Call: "statement of losses " + s.Date, At: s.Closed, Value: fmt.Sprintf("%d gaps in all", s.Gaps())}},
	}
	switch {
	case len(gaps) > 0:
		v.Answer, v.Breaks, v.Reasons = risk.Broken, c.breaks, []string{string(c.severity) + ": " + c.breaks}
		v.Why = "on " + s.Date + ": " + strings.Join(gaps[:min(len(gaps), named)], "; ")
		if len(gaps) > named {
			v.Why += fmt.Sprintf("; and %d more", len(gaps)-named)
		}
		v.Breaks += " (" + s.Date + ")" // another day's gaps are told again
	case why != "":
		v.Answer, v.Why = risk.Unknown, why
	}
	return v
}

func gapVaults(s Statement) []string {
	var out []string
	for _, a := range s.Accounts {
		for _, g := range slices.Concat(a.Lost, a.Waiting) {
			out = append(out, g.Vault)
		}
	}
	return out
}

func set(lists ...[]string) map[string]bool {
	out := map[string]bool{}
	for _, l := range lists {
		for _, v := range l {
			out[v] = true
		}
	}
	return out
}
