package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/approval"
	"cmkguard/internal/risk"
	"cmkguard/internal/wiring"
)

// QuarantineMatter is what people ask for who call a key compromised: its clusters
// are to move to a new key in another vault.
func QuarantineMatter(k, to interface{ ID() string }) string {
	return QuarantinePrefix(k) + to.ID()
}

// QuarantinePrefix begins the matter of every such request about the key.
func QuarantinePrefix(k interface{ ID() string }) string { return "quarantine~" + k.ID() + "~" }

// quarantineSteps make the new key and then move one cluster after another to it
// (Microsoft's order for a compromised key: contain, new key in a separate vault,
// re-wire, verify, only then disable the old one, by a person).
func quarantineSteps(f Facts) ([]Step, string) {
	b := f.Wirings[0].InUse
	switch {
	case f.To.IsZero() || strings.EqualFold(f.To.Host, f.Key.Host):
		return nil, "a new key in another vault must be named"
	case !b.OK() || b.Value.Bits == 0 || !strings.HasPrefix(strings.ToUpper(b.Value.Type), "RSA"):
		return nil, "type and size of the old key were not read: " + b.Why
	}
	to := f.To.Base()
	steps := []Step{{
		Kind: StepCreateKey, Target: to.String(), From: "no such key", To: "new", Call: "POST " + to.String() + "/create",
		Args:     map[string]string{"type": b.Value.Type, "bits": fmt.Sprint(b.Value.Bits), "operations": "wrapKey,unwrapKey"},
		ReadBack: "GET " + to.String() + "/versions shows one version, made since",
		Undo:     Irreversible + ": a key is deleted by its owner",
	}}
	for _, c := range sortedConsumers(f.Consumers.Clusters) {
		if c.CMK == nil {
			continue
		}
		steps = append(steps, Step{
			Kind: StepMove, Target: c.ID.String(), From: c.CMK.Key.String(), To: to.String() + "/new", Call: patchCall(c),
			ReadBack: "GET " + c.ID.String() + " names the new key with resourceState Running",
			Undo:     "PATCH the cluster back to " + c.CMK.Key.String() + ", by a person; the old key is never disabled by us",
		})
	}
	if len(steps) == 1 {
		return nil, "no cluster is seen to use the key"
	}
	return steps, ""
}

// gateLeft holds what would tie clusters to a key that people ask to leave: it would
// only be in the way of the quarantine, which waits while anything else acts on the
// key. A request may hold, like any claim; who approves the plan since releases it.
func gateLeft(p Plan, f Facts, in Inputs) Ruling {
	const name = "left"
	for _, d := range in.Decisions {
		if d.Kind != approval.Approve || !strings.HasPrefix(d.Matter, QuarantinePrefix(f.Key.Base())) || !in.Now.Before(d.Expires) {
			continue
		}
		if by := releasedAfter(p, in, d.At); by != "" {
			return allow(name, "%s released this since %s asked to leave the key", by, d.By.Name)
		}
		return until(hold(name, "%s asked for its clusters to leave this key, which waits while anything else acts on it: %s", d.By.Name, d.Reason), d.Expires)
	}
	return allow(name, "nobody asked to leave the key")
}

// gateTarget holds unless each cluster could use a key in the vault that it is to
// move to: same region and tenant, soft delete and purge protection, a way through
// the firewall, its identity attached and able to unwrap there. Unknown holds.
func gateTarget(_ Plan, f Facts, in Inputs) Ruling {
	const name = "target"
	if len(f.Toward) == 0 {
		return hold(name, "whether the clusters could use the new key was not read")
	}
	asked := risk.Select("CMK-004", "CMK-006", "CMK-007", "CMK-030", "CMK-031", "CMK-033", "CMK-034", "CMK-038", "CMK-050", "CMK-052")
	if f.To.Version != "" {
		asked = asked.Or(risk.Select("CMK-010", "CMK-011", "CMK-014", "CMK-016"))
	}
	var problems []string
	for _, w := range f.Toward {
		for _, v := range risk.Judge(w, in.Policy.Limits.Risk, in.Now, asked) {
			if v.Answer != risk.OK {
				problems = append(problems, fmt.Sprintf("%s %s %s: %s", w.ID.Name(), v.Check, v.Answer, v.Why))
			}
		}
	}
	if len(problems) > 0 {
		return hold(name, "%s", strings.Join(problems, "; "))
	}
	return allow(name, "each cluster could use a key in %s", f.To.VaultName())
}

// gateFresh holds where a key of the new name is there, live or deleted: one that we
// did not make is nobody's to trust.
func gateFresh(_ Plan, f Facts, _ Inputs) Ruling {
	const name = "new-key"
	if f.To.Version != "" {
		return allow(name, "our recorded intent made it")
	}
	for _, w := range f.Toward {
		if w.Versions.State != wiring.Absent || w.Deleted.State != wiring.Absent {
			return hold(name, "a key %s may be there already (live: %s, deleted: %s): name one that was never used", f.To.Name, orSelf(string(w.Versions.State), "not read"), orSelf(string(w.Deleted.State), "not read"))
		}
	}
	return allow(name, "no key of this name is there")
}

// gateAsked holds unless the request stands that the plan came from.
func gateAsked(p Plan, f Facts, in Inputs) Ruling {
	const name = "request"
	matter := QuarantineMatter(f.Key, f.To)
	at := slices.IndexFunc(in.Decisions, func(d approval.Decision) bool {
		return d.Matter == matter && d.Kind == approval.Approve && d.At.Equal(p.Created) && in.Now.Before(d.Expires)
	})
	if at < 0 {
		return Ruling{Gate: name, Answer: Refuse, Reason: "the request that it came from is not there, or is over"}
	}
	return allow(name, "asked for by %s: %s", in.Decisions[at].By.Name, in.Decisions[at].Reason)
}

// CreateKeyEffect is the once-only key under which the plan made from the facts makes
// its new key.
func CreateKeyEffect(f Facts) string {
	return EffectKey(string(StepCreateKey), f.Key.ID()+"|"+f.To.Base().String(), f.Since.UTC().Format(time.RFC3339Nano))
}
