package examples

import (
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/risk"
)

const hour = time.Hour

// upkeep is what keys need by themselves: rotation.
func (s shop) upkeep() []Example {
	return []Example{
		{"near-expiry", "a key expires soon and is being rotated", s.nearExpiry()},
		{"dry-run", "a key expires soon and the policy only shows what would be done", s.dryRun()},
		{"rotation-held", "a rotation is due and something holds it", s.rotationHeld()},
		{"rotation-done", "a key was rotated and every cluster follows", s.rotationDone()},
		{"rotation-stopped", "a rotation stopped on the way", s.rotationStopped()},
	}
}

const rotation = "rotate~a197b039f4efafcddbc8145620b299a63ca622f0"

func (s shop) nearExpiry() alert.Alert {
	a := s.incident("CMK-013", key(), risk.Medium, "version "+version+" expires on "+s.after(20).Format("2006-01-02 15:04 UTC")+", in 20 days")
	a.By, a.ByMeans = s.after(20), "then the key version expires"
	a.Done = []string{"rotate is being carried out (plan " + rotation + ", 2 steps)"}
	a.Commands = []alert.Command{{Does: "lists the key's versions", Line: "az keyvault key list-versions --vault-name kv-shop --name redis-kek --output table"}}
	return a
}

func (s shop) dryRun() alert.Alert {
	a := s.nearExpiry()
	a.DryRun = true
	a.Done = []string{"rotate is held (plan " + rotation + "). mode: dry run (shop-cache: built-in policy remedies.rotate): this is what would be done"}
	a.Commands = append([]alert.Command{{Does: "shows call by call what would be done", Line: "cmkguard plan " + rotation}}, a.Commands...)
	return a
}

func (s shop) rotationHeld() alert.Alert {
	a := s.dryRun()
	a.DryRun, a.Severity = false, risk.High
	a.Lifecycle, a.Title = alert.Update, "Still: "+a.Title
	a.What, a.By = "version "+version+" expires on "+s.after(6).Format("2006-01-02 15:04 UTC")+", in 6 days", s.after(6)
	a.Since = s.at.AddDate(0, 0, -14)
	a.Done = []string{"rotate is held (plan " + rotation + "). freeze: the window weekend is open (Europe/Berlin) until Monday 00:00 CET. consumers: sessions-cache is exempt (migration, policy.yaml:32)"}
	return a
}

// saga has what alerts about a plan's end have.
func (s shop) saga(severity risk.Severity, title, what string) alert.Alert {
	return alert.Alert{
		ID: "7f6f2a1e-1000-4c1d-9a57-0c5f0e8d9b11", DedupKey: "cmkguard/plan/" + rotation, GroupKey: partition, Lifecycle: alert.Notice, Severity: severity,
		Title: title, What: what, Subject: key(), At: s.at, Since: s.at.Add(-2 * hour), Ref: rotation, Vault: "kv-shop",
		Impact: []alert.Impact{
			{Cluster: clusters + "shop-cache", Name: "shop-cache"}, {Cluster: clusters + "sessions-cache", Name: "sessions-cache"},
		},
		Done: []string{
			"shop-cache: version " + version + " -> " + newer + " (adopted, read back)",
			"sessions-cache: version " + version + " -> " + newer + " (rewired, read back)",
		},
		Commands: []alert.Command{{Does: "shows the plan, what each gate said and how far it came", Line: "cmkguard plan " + rotation}},
	}
}

func (s shop) rotationDone() alert.Alert {
	return s.saga(risk.Info, "Done: rotate of kv-shop/redis-kek", "2 clusters are on version "+newer+", each read back Running")
}

func (s shop) rotationStopped() alert.Alert {
	a := s.saga(risk.High, "Stopped: rotate of kv-shop/redis-kek", "sessions-cache: the PATCH ended in state Failed: Conflict: another operation is in progress on the cluster")
	a.Lifecycle = alert.Trigger
	a.Done[1] = "sessions-cache: stays on version " + version
	a.Next = []string{"The old key version is still enabled, so no cache is cut off by this. Mend the cause; from " + s.at.Add(6*hour).Format(time.RFC3339) + " the next signal about this key or cluster plans again."}
	return a
}
