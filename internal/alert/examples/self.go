package examples

import (
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/risk"
)

// ourselves are alerts about the guard, not about a chain.
func (s shop) ourselves() []Example {
	return []Example{
		{"poison", "input that could not be read was kept", s.poison()},
		{"unseen", "nobody can say which clusters use a key", s.unseen()},
		{"self-guard", "the guard observes only, and why", s.selfGuard()},
		{"self-deaf", "events of a vault may no longer reach us", s.deaf()},
		{"breaker", "the circuit breaker opened: nothing more is begun", s.breaker()},
		{"storage-gone", "nothing can be recorded, so nothing is changed", s.storageGone()},
	}
}

func (s shop) own(id string, lifecycle alert.Lifecycle, severity risk.Severity, title, what string, next ...string) alert.Alert {
	return alert.Alert{
		ID: "7f6f2a1e-3000-4c1d-9a57-0c5f0e8d9b11", DedupKey: "cmkguard/self/" + id, GroupKey: "self", Lifecycle: lifecycle, Severity: severity,
		Title: title, What: what, Subject: "scope:cmkguard", At: s.at, Since: s.at, Ref: id, Next: next,
	}
}

func (s shop) poison() alert.Alert {
	a := s.own("poison~5d41402a", alert.Notice, risk.Medium, "Could not be handled and was kept: input of vaultlogs",
		"event.ParseLogs: record 3 is no JSON object: unexpected end of JSON input",
		"Look at what sends to vaultlogs; the input is kept whole under poison~5d41402a in state partition poison.")
	a.DedupKey, a.GroupKey, a.Subject = "cmkguard/poison~5d41402a", "poison", "scope:vaultlogs"
	return a
}

func (s shop) unseen() alert.Alert {
	a := s.own("unseen", alert.Trigger, risk.High, "Cannot tell who uses kv-shop/redis-kek",
		"KeyNearExpiry came, and the clusters that use it could not be enumerated: graph: subscription 11111111-1111-1111-1111-111111111111 cannot be read (AuthorizationFailed)",
		"Give the observer identity Reader on every subscription in CMKGUARD_SUBSCRIPTIONS, and look by hand at who uses this key meanwhile.")
	a.DedupKey, a.GroupKey, a.Subject, a.Vault, a.Ref = "cmkguard/unseen/"+partition, partition, key(), "kv-shop", "9b1f6d0a-6f1e-4c55-8f3e-1d2a44a0c7aa"
	a.Commands = []alert.Command{{Does: "shows what hangs on the key", Line: "cmkguard impact " + keyURL}}
	return a
}

func (s shop) selfGuard() alert.Alert {
	a := s.own("start", alert.Trigger, risk.High, "Broken: Settings and policy are in force: cmkguard (SELF-011)",
		"CMK Guard observes only: the policy is not in force, the built-in one is (dry run, console alerts): policy.yaml:12: remedies.rotate: \"automatic\" is no mode: want off, dry-run, approve or auto",
		"Mend the setting or the policy line that is named and restart: cmkguard policy check FILE tells whether it is right.")
	a.Check, a.DedupKey, a.GroupKey, a.Runbook = "SELF-011", "cmkguard/SELF-011/"+"scope~"+hash, "scope~"+hash, "docs/selfguard.md"
	a.Breaks = "nothing is changed anywhere; problems are seen and told, and not mended"
	a.Upstream, a.Links = []string{"scope~" + hash}, pagesOf("SELF-011", "scope~"+hash)
	a.Evidence = []string{"start of the process at " + s.at.Format(time.RFC3339) + ": settings and policy as read then"}
	return a
}

func (s shop) deaf() alert.Alert {
	what := actor("Microsoft.Insights/diagnosticSettings/delete")
	a := s.own("deaf", alert.Notice, risk.High, "CMK Guard may have gone deaf: kv-shop", what, "Restore the diagnostic setting or the event subscription: deploy infra/vault.bicep again.")
	a.DedupKey, a.GroupKey, a.Subject, a.Vault, a.Actor = "cmkguard/claim/EarsCut/"+partition, partition, "vault:"+vaultID, "kv-shop", what
	a.Breaks = "changes to this vault's keys may no longer reach us before the next sweep"
	a.Impact = []alert.Impact{cache("shop-cache", "team-shop")}
	return a
}

func (s shop) breaker() alert.Alert {
	a := s.own("breaker", alert.Trigger, risk.Critical, "The circuit breaker is open: nothing more is begun",
		"3 actions failed or read back unexpectedly in 24 hours (limits.failuresPerDay); the last: rotate of kv-shop.vault.azure.net/redis-kek: keyvault: Forbidden: HTTP 403",
		"Mend the cause of the stopped plans. The breaker closes by itself when they are older than 24 hours, or raise limits.failuresPerDay.")
	a.Breaks = "rotations and repairs wait, so keys come nearer to their expiry"
	return a
}

func (s shop) storageGone() alert.Alert {
	a := s.own("storage", alert.Trigger, risk.Critical, "CMK Guard cannot record: its storage is refused or gone",
		"cannot be recorded: table: HTTP 403: AuthorizationFailure",
		"Look at the storage account's network rules, role assignments (Storage Table, Blob and Queue Data Contributor for the app's identity) and health. What comes in meanwhile is tried again by Event Grid and the queue.")
	a.Breaks, a.Unrecorded = "nothing is rotated or repaired until this is mended; alerts leave without a record", true
	return a
}
