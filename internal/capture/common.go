package capture

import (
	"encoding/json"
	"strings"

	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
)

// commonSchema is what an alert of Azure Monitor names as its schema
// (learn.microsoft.com, "Common alert schema").
const commonSchema = "azureMonitorCommonAlertSchema"

// CommonAlert is an alert of Azure Monitor. No function of ours takes one: it is
// recognised so that a look at what it is about can be rehearsed.
type CommonAlert struct {
	Rule      string
	Condition string // Fired or Resolved
	Targets   []azureid.Resource
	Others    []string // targets that are neither a vault nor a cluster
}

func (r *reader) common(raw []byte) error {
	var a struct {
		Data struct {
			Essentials struct {
				AlertRule, MonitorCondition string
				AlertTargetIDs              []string
			}
		}
	}
	if err := json.Unmarshal(raw, &a); err != nil {
		return fault.New(fault.Invalid, "capture.Read", "data.essentials is not as the common alert schema has it: %w", err)
	}
	e := a.Data.Essentials
	if len(e.AlertTargetIDs) == 0 {
		return fault.New(fault.Invalid, "capture.Read", "data.essentials.alertTargetIDs is missing or empty: want the ids of what the alert is about")
	}
	r.shape("an alert of Azure Monitor in the common schema")
	out := &CommonAlert{Rule: clip(e.AlertRule), Condition: clip(e.MonitorCondition)}
	for _, text := range e.AlertTargetIDs {
		id, err := azureid.ParseResource(text)
		if t := id.Type(); err != nil || !strings.EqualFold(t, azureid.TypeVault) && !strings.EqualFold(t, azureid.TypeRedisEnterprise) {
			out.Others = append(out.Others, clip(text))
			continue
		}
		out.Targets = append(out.Targets, id)
	}
	r.out.Alert = out
	return nil
}
