package guard

import (
	"strconv"
	"strings"

	"cmkguard/internal/alert"
	"cmkguard/internal/event"
	"cmkguard/internal/risk"
	"cmkguard/internal/self"
	"cmkguard/internal/wiring"
)

// titleOf is the problem in a few words, and where: what somebody reads on a lock
// screen.
func titleOf(p *picture, v risk.Verdict) string {
	return headline(p, v) + ": " + whereOf(p, v) + " (" + v.Check + ")"
}

// whereOf names the vault where a vault is at fault that could not be read: the
// finding is then about the cluster.
func whereOf(p *picture, v risk.Verdict) string {
	if c, ok := risk.Find(v.Check); ok && c.Family == risk.FamilyVault && v.Subject.Kind == event.SubjectCluster {
		if vault := vaultOf(p, v); vault != "" {
			return vault
		}
	}
	return where(v.Subject)
}

func headline(p *picture, v risk.Verdict) string {
	switch fact, _ := factOf(p, v); fact {
	case "CmkGuard.KeyDeleted":
		return "Key deleted"
	case "CmkGuard.KeyPurged":
		return "Key purged, or never there"
	}
	if h := risk.Headline(v.Check); h != "" {
		return h
	}
	if v.Answer == risk.OK {
		return v.Title
	}
	return "Broken: " + v.Title // a check of another catalogue: its question
}

// where names a subject as people do: VAULT/KEY without the cloud's suffix, or the
// last part of an ARM id.
func where(s event.Subject) string {
	if s.Kind != event.SubjectKey {
		return shortName(s)
	}
	host, name, ok := strings.Cut(s.ID, "/")
	vault, _, _ := strings.Cut(host, ".")
	if !ok {
		return s.ID
	}
	return vault + "/" + name
}

func clusters(n int) string {
	if n == 1 {
		return "1 cluster is"
	}
	return strconv.Itoa(n) + " clusters are"
}

// byMeans is what a verdict's date is.
func byMeans(v risk.Verdict) string {
	if v.By == nil {
		return ""
	}
	switch v.Check {
	case "CMK-010", "CMK-036":
		return "until then it can be recovered, after that it is lost"
	case "CMK-012":
		return "from then on the key version is valid"
	case "CMK-013":
		return "then the key version expires"
	case "CMK-025":
		return "until then services may still need the old version"
	case "CMK-002", "CMK-003":
		return "then Azure ends the tier"
	}
	return ""
}

// dress adds to an incident's alert what people ask next: who, where it is written
// down, what to paste.
func (g *Guard) dress(a *alert.Alert, p *picture, v risk.Verdict) {
	a.ByMeans, a.Vault, a.Actor, a.Controls = byMeans(v), vaultOf(p, v), actorOf(p), controlsOf(v.Check)
	a.Runbook = g.runbookOf(v.Check)
	if w, ok := wiringOf(p, v); ok {
		a.Commands = commandsFor(v, w)
	}
	if v.Check == self.Events {
		a.Commands = g.deafCommands(v)
	}
}

// runbookOf is where what to do about a check is written down: under the policy's
// runbooks, or in our own list of checks.
func (g *Guard) runbookOf(check string) string {
	base := g.Policy.Runbooks
	switch {
	case base == "" && strings.HasPrefix(check, "LOSS-"):
		return "docs/losses.md#" + strings.ToLower(check)
	case base == "" && strings.HasPrefix(check, "SELF-"):
		return "docs/selfguard.md#" + strings.ToLower(check)
	case base == "" && check == quarantineCheck:
		return "docs/remedies.md#a-compromised-key"
	case base == "":
		return "docs/checks.md#" + strings.ToLower(check)
	case strings.ContainsAny(base[len(base)-1:], "/#="):
		return base + strings.ToLower(check)
	}
	return base + "/" + strings.ToLower(check)
}

// wiringOf is the chain that the verdict was judged by.
func wiringOf(p *picture, v risk.Verdict) (wiring.Wiring, bool) {
	for _, w := range p.wirings {
		if v.Cluster == w.ID.Key() {
			return w, true
		}
	}
	for _, w := range p.wirings {
		if k := w.Key(); !k.IsZero() && k.ID() == v.Subject.ID {
			return w, true
		}
	}
	return wiring.Wiring{}, false
}

// linksOf are the pages about a plan that waits for people. They show: to decide
// takes a sign-in and a click there.
func (g *Guard) linksOf(planID string) []alert.Link {
	if g.PublicURL == "" {
		return nil
	}
	return []alert.Link{{Label: "approve or deny", URL: g.PublicURL + "/api/approvals/" + planID}}
}
