package examples

import (
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/risk"
)

// life is how a problem goes on after it was told, and what several are told as.
func (s shop) life() []Example {
	return []Example{
		{"reminder", "nobody acknowledged, and it is told again", s.reminder()},
		{"acknowledged", "somebody works on it", s.acknowledged()},
		{"resolved", "it was read back as mended", s.resolved()},
		{"cannot-tell", "a check that would be critical can no longer be answered", s.cannotTell()},
		{"digest", "several problems of one vault, told together", s.digest()},
		{"storm", "more problems at once than anybody reads one by one", s.storm()},
		{"unrecorded", "the storage is gone: told without a record", s.unrecorded()},
		{"drill", "a marked exercise", s.drill()},
		{"test", "cmkguard alert test", s.test()},
	}
}

func (s shop) reminder() alert.Alert {
	a := s.keyDeleted()
	a.Lifecycle, a.Title, a.Since, a.Event, a.Key = alert.Update, "Nobody answered in 30 minutes: "+a.Title, s.at.Add(-hour/2), "", ""
	return a
}

func (s shop) acknowledged() alert.Alert {
	a := s.keyDeleted()
	a.Lifecycle, a.Title, a.Since, a.Event, a.Key = alert.Acknowledge, "Acknowledged: "+a.Title, s.at.Add(-hour/4), "", ""
	a.Done = append(a.Done, "acknowledged by grace@example.com: called the vault's owner")
	return a
}

func (s shop) resolved() alert.Alert {
	a := s.keyDeleted()
	a.Lifecycle, a.Title, a.Since = alert.Resolve, alert.Fixed+a.Title, s.at.Add(-hour)
	a.What, a.Breaks, a.By, a.ByMeans, a.Event, a.Key = "the key "+keyID+" exists", "", nil, "", "", ""
	a.Done, a.Next, a.Commands, a.Links, a.Actor = nil, nil, nil, nil, ""
	return a
}

func (s shop) cannotTell() alert.Alert {
	why := "the vault could not be read (graph vault by host kv-shop.vault.azure.net: no vault with this host can be seen in the watched subscriptions)"
	a := s.incident("CMK-050", onCluster("shop-cache"), risk.Medium, why)
	a.Lifecycle, a.Title = alert.Notice, "Cannot tell: The cluster's identity can get, wrap and unwrap with the key: shop-cache (CMK-050)"
	a.Breaks, a.Next, a.Impact, a.Evidence = "", nil, a.Impact[:1], nil
	a.Commands = []alert.Command{{Does: "looks again", Line: "cmkguard check " + clusters + "shop-cache"}}
	return a
}

// gathered is one message about several problems.
func (s shop) gathered(id, title, what string) alert.Alert {
	return alert.Alert{
		ID: "7f6f2a1e-2000-4c1d-9a57-0c5f0e8d9b11", DedupKey: "cmkguard/" + id, GroupKey: "kv-shop", Lifecycle: alert.Trigger, Severity: risk.Critical,
		Title: title, What: what, Subject: "vault:" + vaultID, At: s.at, Since: s.at, Ref: id, Vault: "kv-shop",
		Impact: []alert.Impact{cache("shop-cache", "team-shop"), cache("sessions-cache", "team-web")},
		Breaks: "the worst of them: every key in the vault is out of reach, so the caches can go offline within about an hour",
	}
}

func member(check, subject string, severity risk.Severity, title string) alert.Member {
	return alert.Member{
		ID: "7f6f2a1e-" + check[4:] + "0-4c1d-9a57-0c5f0e8d9b11", DedupKey: "cmkguard/" + check + "/" + partitionOf(subject),
		Lifecycle: alert.Trigger, Severity: severity, Title: title, Subject: subject,
	}
}

func (s shop) digest() alert.Alert {
	a := s.gathered("group/kv-shop", "3 problems of vault kv-shop, 1 critical", "Vault's firewall keeps the service out, and 2 more about the same vault")
	a.Members = []alert.Member{
		member("CMK-038", "vault:"+vaultID, risk.Critical, "Vault's firewall keeps the service out: kv-shop (CMK-038)"),
		member("CMK-021", key(), risk.High, "Nothing rotates the key: kv-shop/redis-kek (CMK-021)"),
		member("CMK-018", key(), risk.Medium, "Key version in use has no expiry date: kv-shop/redis-kek (CMK-018)"),
	}
	a.Commands = []alert.Command{{Does: "judges the clusters of the vault now", Line: "cmkguard check " + clusters + "shop-cache " + clusters + "sessions-cache"}}
	return a
}

func (s shop) storm() alert.Alert {
	a := s.gathered("storm/kv-shop", "A storm: 214 problems in 5 minutes, 38 critical", "214 problems opened in 5 minutes, most of them about vault kv-shop; each is recorded, and they are told together until it is calm")
	a.MoreImpact, a.MoreMembers = 212, 212
	a.Members = []alert.Member{
		member("CMK-036", onCluster("shop-cache"), risk.Critical, "Vault is deleted: kv-shop (CMK-036)"),
		member("CMK-036", onCluster("sessions-cache"), risk.Critical, "Vault is deleted: kv-shop (CMK-036)"),
	}
	a.Commands = []alert.Command{{Does: "judges everything now, the worst first", Line: "cmkguard check --fail-on critical"}}
	return a
}

func (s shop) unrecorded() alert.Alert {
	a := s.accessLost()
	a.Unrecorded, a.Links = true, nil
	a.Done = []string{"nothing is changed while nothing can be recorded"}
	a.Commands = a.Commands[3:]
	return a
}

func (s shop) drill() alert.Alert {
	a := s.keyDeleted()
	a.Drill, a.Event, a.Key = true, "", ""
	a.DedupKey = "cmkguard/drill/" + a.DedupKey
	return a
}

func (s shop) test() alert.Alert { return Test("test-7f6f2a1e", s.at) }

// Test is the marked message of `cmkguard alert test`: it opens a problem of its
// own, which is no problem, and is resolved by the same with Lifecycle Resolve.
func Test(id string, at time.Time) alert.Alert {
	return alert.Alert{
		ID: id, DedupKey: "cmkguard/test/" + id, GroupKey: "test", Lifecycle: alert.Trigger, Severity: risk.Info, Title: "A test of this channel by cmkguard alert test",
		What: "somebody asked whether alerts arrive here; if you read this, they do", Subject: "scope:cmkguard", At: at, Since: at, Ref: id, Test: true,
		Done: []string{"sent through the channel's real client, as every alert is"}, Next: []string{"Nothing. It is resolved by a second message right after."},
		Commands: []alert.Command{{Does: "sends it again", Line: "cmkguard alert test"}},
	}
}
