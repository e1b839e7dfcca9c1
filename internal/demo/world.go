package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/hostproc"
)

const (
	subscription = "11111111-1111-1111-1111-111111111111"
	group        = "/subscriptions/" + subscription + "/resourceGroups/rg-cache-prod/providers/"
	token        = "a-token-that-only-this-machine-takes"
	guardOID     = "99999999-9999-9999-9999-999999999999"
)

// demo is the world and the child in it.
type demo struct {
	sim     *azuresim.Sim
	server  *azuresim.Server
	hook    *receivers
	mail    *mailbox
	dir     string
	state   string
	profile string
	child   *hostproc.Child

	orders, ledger             azureid.Key
	shop, sessions, ledgerDB   azureid.Resource
	ledgerVault, ledgerIdentID string
}

func setUp(ctx context.Context, binary string) (*demo, error) {
	dir, err := os.MkdirTemp("", "cmkguard-demo-")
	if err != nil {
		return nil, err
	}
	d := &demo{dir: dir, state: filepath.Join(dir, "state")}
	d.sim = azuresim.New(azuresim.Options{Start: time.Date(2026, 11, 1, 6, 0, 0, 0, time.UTC), Wall: time.Now})
	d.populate()
	if d.server, err = d.sim.Serve(); err != nil {
		return nil, err
	}
	if d.profile, err = d.server.WriteProfile(dir, token); err != nil {
		return nil, err
	}
	if d.hook, err = listen(d.sim.Clock().Now); err != nil {
		return nil, err
	}
	if d.mail, err = openMailbox(dir, d.hook.keep); err != nil {
		return nil, err
	}
	policy := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(policy, []byte(fmt.Sprintf(policyText, d.hook.url, d.mail.addr)), 0o600); err != nil {
		return nil, err
	}
	settings := d.hook.settings()
	maps.Copy(settings, map[string]string{
		"CMKGUARD_STATE": "file:" + d.state, "CMKGUARD_CLOUD": d.profile, "CMKGUARD_POLICY": policy,
		"CMKGUARD_SUBSCRIPTIONS": subscription, "CMKGUARD_REMEDIATOR_CLIENT_ID": "88888888-8888-8888-8888-888888888888",
		"CMKGUARD_LOG_LEVEL": "info", "SSL_CERT_FILE": d.mail.roots,
	})
	d.child = hostproc.New(binary, settings)
	return d, d.child.Start(ctx)
}

const policyText = `version: 1
remedies: {rotate: auto, rewire: auto}
channels:
  - {name: log, kind: console}
  - {name: ops, kind: webhook, url: "%[1]s/alerts", secretRef: CMKGUARD_DEMO_SECRET}
  - {name: pager, kind: pagerduty, url: "%[1]s", secretRef: CMKGUARD_DEMO_PAGER}
  - {name: chat, kind: slack, secretRef: CMKGUARD_DEMO_CHAT}
  - {name: team, kind: teams, secretRef: CMKGUARD_DEMO_TEAM}
  - {name: mail, kind: email, server: "%[2]s", tls: implicit, from: CMK Guard <cmkguard@demo.example>, to: [oncall@demo.example]}
alerts:
  - {minSeverity: info, channels: [ops, pager, chat, team, mail, log]}
`

// populate makes three clusters of both kinds in two vaults: one with roles,
// one with access policies.
func (d *demo) populate() {
	d.sim.AddCaller(azuresim.Caller{Name: "cmkguard", ObjectID: guardOID, Token: token, Reads: true, Writes: true})
	created, expires := d.sim.Clock().Now().AddDate(-1, 0, 0), d.sim.Clock().Now().AddDate(0, 0, 20)
	key := azuresim.KeyOptions{Created: created, Expires: &expires, Policy: azuresim.Rotation{
		ExpiryTime: "P365D", Actions: []azuresim.RotationAction{{Type: "Notify", TimeBeforeExpiry: "P30D"}}}}
	orders := azureid.MustResource(group + "Microsoft.KeyVault/vaults/kv-orders")
	d.sim.AddVault(azuresim.Vault{ID: orders, Location: "westeurope", RBAC: true, SoftDelete: true, PurgeProtection: true})
	d.sim.Assign(orders.String(), azuresim.RoleCryptoOfficer, guardOID)
	d.orders = d.sim.AddKey("kv-orders.vault.azure.net", "redis-orders", key)
	d.shop = d.cluster("shop-cache", "v2", "Balanced_B10", "team-shop", d.orders, d.identity("id-shop", "a1", orders.String()))
	d.sessions = d.cluster("sessions-cache", "v1", "Enterprise_E10", "team-web", d.orders, d.identity("id-sessions", "a2", orders.String()))

	ledger := azureid.MustResource(group + "Microsoft.KeyVault/vaults/kv-ledger")
	d.ledgerVault = "kv-ledger.vault.azure.net"
	d.ledgerIdentID = principal("a3")
	fresh := key
	fresh.Created = d.sim.Clock().Now().AddDate(0, -2, 0)
	year := d.sim.Clock().Now().AddDate(0, 10, 0)
	fresh.Expires = &year
	d.sim.AddVault(azuresim.Vault{ID: ledger, Location: "westeurope", SoftDelete: true, PurgeProtection: true, Policies: []azuresim.AccessPolicy{
		{TenantID: "44444444-4444-4444-4444-444444444444", ObjectID: guardOID, Keys: []string{"get", "list", "getrotationpolicy", "rotate"}},
		{TenantID: "44444444-4444-4444-4444-444444444444", ObjectID: d.ledgerIdentID, Keys: []string{"get", "wrapKey", "unwrapKey"}},
	}})
	d.ledger = d.sim.AddKey(d.ledgerVault, "redis-ledger", fresh)
	d.ledgerDB = d.cluster("ledger-cache", "v1", "Enterprise_E20", "team-ledger", d.ledger, d.identity("id-ledger", "a3", ""))
}

func principal(tail string) string { return "22222222-2222-2222-2222-2222222222" + tail }

func (d *demo) identity(name, tail, scope string) azureid.Resource {
	id := azureid.MustResource(group + "Microsoft.ManagedIdentity/userAssignedIdentities/" + name)
	d.sim.AddIdentity(azuresim.Identity{ID: id, PrincipalID: principal(tail), ClientID: "33333333-3333-3333-3333-3333333333" + tail, Location: "westeurope"})
	if scope != "" {
		d.sim.Assign(scope, azuresim.RoleCryptoServiceEncryptionUser, principal(tail))
	}
	return id
}

func (d *demo) cluster(name, kind, sku, owner string, k azureid.Key, identity azureid.Resource) azureid.Resource {
	id := azureid.MustResource(group + "Microsoft.Cache/redisEnterprise/" + name)
	d.sim.AddCluster(azuresim.Cluster{
		ID: id, Kind: kind, SKU: sku, Location: "West Europe", Tags: map[string]string{"owner": owner}, Identities: []azureid.Resource{identity},
		CMK: &azuresim.CMK{IdentityType: "userAssignedIdentity", IdentityID: identity, KeyURL: k.String()},
	})
	return id
}

func (d *demo) close() {
	d.child.Stop()
	d.server.Close()
	d.hook.server.Close()
	d.mail.listen.Close()
	_ = os.RemoveAll(d.dir)
}
