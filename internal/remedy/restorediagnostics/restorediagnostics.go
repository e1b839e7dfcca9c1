// Package restorediagnostics makes a vault send its audit log again to where the
// policy file says, once, by the diagnostic setting that it names there. Ceiling:
// auto. What else the setting holds stays; no other setting is touched.
//
// Least privilege of the caller: Microsoft.Insights/diagnosticSettings/read and
// /write on the vault, and for its destinations
// Microsoft.OperationalInsights/workspaces/sharedKeys/action,
// Microsoft.EventHub/namespaces/authorizationRules/listKeys/action or
// Microsoft.Storage/storageAccounts/listKeys/action. IRREVERSIBLE by us: removing a
// log is its owner's.
//
// Runbook: the activity log (Microsoft.Insights/diagnosticSettings/delete, /write)
// says who removed it. A conflict says that another setting of the vault sends to
// the same place, or that it has five already: make room, or name that one.
package restorediagnostics

import (
	"context"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
	"cmkguard/internal/plan"
	"cmkguard/internal/remedy"
	"cmkguard/internal/wiring"
)

// Logs reads and writes a vault's diagnostic settings.
type Logs interface {
	Sends(ctx context.Context, vault azureid.Resource, name string, to wiring.Sink) wiring.Fact[bool]
	SendAudit(ctx context.Context, vault azureid.Resource, name string, to wiring.Sink, requestID string) error
}

// Effect returns the setting that the plan names.
func Effect(l Logs, p plan.Plan, partition string) (remedy.Effect, error) {
	step := p.Steps[0]
	vault, err := azureid.ParseResource(step.Target)
	if err != nil {
		return remedy.Effect{}, err
	}
	name := step.Args["name"]
	to := wiring.Sink{Workspace: step.Args["workspace"], HubRule: step.Args["eventHubRule"], Hub: step.Args["eventHub"], Storage: step.Args["storage"]}
	e := remedy.Repair(partition, step.Key, p.Subject.String(), p.ID, "send the audit log of "+vault.Name()+" by diagnostic setting "+name)
	e.Look = func(ctx context.Context, _ time.Time) (remedy.Sight, error) {
		f := l.Sends(ctx, vault, name, to)
		if !f.OK() {
			return remedy.Sight{}, fault.New(fault.Transient, "restorediagnostics.look", "%s: %s", vault.Name(), f.Why)
		}
		return remedy.Sight{Done: f.Value, Result: "diagnostic setting " + name}, nil
	}
	e.Act = func(ctx context.Context, requestID string) (string, error) {
		return "", l.SendAudit(ctx, vault, name, to, requestID)
	}
	return e, nil
}
