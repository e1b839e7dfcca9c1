package examples

import (
	"fmt"
	"slices"
	"strings"
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
	a.Commands = append(a.Commands, alert.Command{
		Does: "says that you work on it: nobody is reminded or called further",
		Line: "cmkguard alert ack " + strings.TrimPrefix(a.DedupKey, alert.KeyPrefix) + " --reason 'looking at it'",
	})
	a.Notes = append(a.Notes, "it is open and nobody acknowledged it for 30 minutes")
	return a
}

func (s shop) acknowledged() alert.Alert {
	a := s.keyDeleted()
	a.Lifecycle, a.Title, a.Since, a.Event, a.Key = alert.Acknowledge, "Acknowledged: "+a.Title, s.at.Add(-hour/4), "", ""
	a.Done = append([]string{"acknowledged by grace@example.com: called the vault's owner"}, a.Done...)
	a.Links = slices.DeleteFunc(a.Links, func(l alert.Link) bool { return l.Label == "acknowledge" })
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
	a.Breaks, a.Next, a.Impact, a.Evidence, a.Links = "", nil, a.Impact[:1], nil, nil
	a.Commands = []alert.Command{{Does: "looks again", Line: "cmkguard check " + clusters + "shop-cache"}}
	return a
}

// gathered is one message about several problems, as internal/alert makes it.
func (s shop) gathered(stream, title, what string, members ...alert.Member) alert.Alert {
	a := alert.Alert{
		ID: "a~7b6d9f0e2a5c4c1d9a570c5f0e8d9b11a2c4e6f8", DedupKey: "cmkguard/" + stream, GroupKey: "digest", Lifecycle: alert.Trigger, Severity: members[0].Severity,
		Title: title, What: what, Subject: "scope:alerts", At: s.at, Since: s.at.Add(-hour / 120), Ref: stream, Vault: "kv-shop", Members: members,
		Impact: []alert.Impact{
			{Cluster: clusters + "shop-cache", Name: "shop-cache", Owner: "team-shop"}, {Cluster: clusters + "sessions-cache", Name: "sessions-cache", Owner: "team-web"},
		},
		Commands: []alert.Command{{Does: "judges the clusters that are hit now", Line: "cmkguard check " + clusters + "shop-cache " + clusters + "sessions-cache"}},
	}
	c, _ := risk.Find(members[0].Title[len(members[0].Title)-8 : len(members[0].Title)-1])
	a.Breaks = "the worst of them: " + c.Breaks
	return a
}

// began is when the first of them came.
func (s shop) began() string { return s.at.Add(-hour / 120).UTC().Format("2006-01-02 15:04 UTC") }

func member(check, subject string, severity risk.Severity) alert.Member {
	return alert.Member{
		ID: "7f6f2a1e-" + check[4:] + "0-4c1d-9a57-0c5f0e8d9b11", DedupKey: "cmkguard/" + check + "/" + partitionOf(subject),
		Lifecycle: alert.Trigger, Severity: severity, Title: risk.Headline(check) + ": " + where(subject) + " (" + check + ")", Subject: subject,
	}
}

func (s shop) digest() alert.Alert {
	return s.gathered("group~6f0d1c3b9e5a47c2a1b84d7c93e2f650718c4b9d", "3 alerts about vault kv-shop: 1 high, 2 medium",
		"what came about vault kv-shop since "+s.began()+", told together; each is recorded by itself",
		member("CMK-021", key(), risk.High), member("CMK-018", key(), risk.Medium), member("CMK-040", "vault:"+vaultID, risk.Medium))
}

func (s shop) storm() alert.Alert {
	var members []alert.Member
	for n, cluster := range []string{"shop", "sessions", "cart", "search", "orders", "prices", "stock", "reviews"} {
		m := member("CMK-050", onCluster(cluster+"-cache"), risk.Critical)
		m.ID, m.DedupKey = fmt.Sprintf("7f6f2a1e-050%d", n)+m.ID[len("7f6f2a1e-0500"):], fmt.Sprintf("%s%d", m.DedupKey[:len(m.DedupKey)-1], n)
		members = append(members, m)
	}
	return s.gathered("storm~0c4f7a92d6b84e15a3c97e20f1d85b6432ae9071/critical", "A storm of critical alerts: 8 critical",
		"more than 20 messages came within 10 minutes; since "+s.began()+" they are told together, until it is quiet for as long. By vault: kv-shop 8", members...)
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
	a.Drill, a.Event, a.Key, a.Commands, a.Links = true, "", "", nil, nil // what is real is not touched for an exercise
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
