package azuresim_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resourcegraph/armresourcegraph"
	"github.com/google/go-cmp/cmp"

	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
)

const clustersKQL = `// clusters
resources | where type =~ 'microsoft.cache/redisenterprise'
| extend cmk=properties.encryption.customerManagedKeyEncryption
| extend kekUrl=tostring(cmk.keyEncryptionKeyUrl), uami=tolower(tostring(cmk.keyEncryptionKeyIdentity.userAssignedIdentityResourceId))
| extend p=split(kekUrl,'/')
| project id, subscriptionId, resourceGroup, location, sku=tostring(sku.name), kind, resourceState=tostring(properties.resourceState),
  vaultHost=tolower(tostring(p[2])), keyName=tostring(p[4]), keyVersion=tostring(p[5]), uami, owner=tostring(tags['owner'])
| order by id asc`

func (w armWorld) query(t *testing.T, who, text string, o *armresourcegraph.QueryRequestOptions) (armresourcegraph.ClientResourcesResponse, error) {
	t.Helper()
	c := must(armresourcegraph.NewClient(token(who), w.options()))(t)
	id := sub
	return c.Resources(context.Background(), armresourcegraph.QueryRequest{Query: &text, Subscriptions: []*string{&id}, Options: o}, nil)
}

// rows runs a query that must work.
func (w armWorld) rows(t *testing.T, who, text string) []any {
	t.Helper()
	return must(w.query(t, who, text, nil))(t).Data.([]any)
}

func TestTheQueryOfClusters(t *testing.T) {
	t.Parallel()
	w := newARMWorld(t, azuresim.Options{}, "v2")
	want := []any{map[string]any{
		"id": clusterID, "subscriptionId": sub, "resourceGroup": "rg-cache-prod", "location": "westeurope", "sku": "Balanced_B10", "kind": "v2",
		"resourceState": "Running", "vaultHost": host, "keyName": "redis-kek", "keyVersion": w.old.Version, "uami": strings.ToLower(uamiID), "owner": "team-orders",
	}}
	if d := cmp.Diff(want, w.rows(t, "observer", clustersKQL)); d != "" {
		t.Error(d)
	}
}

func TestOtherTablesAndFilters(t *testing.T) {
	t.Parallel()
	w := newARMWorld(t, azuresim.Options{}, "v2")
	for text, want := range map[string]int{
		`resources | where type =~ 'Microsoft.KeyVault/Vaults' | extend h = tolower(tostring(split(tostring(properties.vaultUri),'/')[2])) | where h == '` + host + `' | project id, h | order by id asc`: 1,
		`resources | where type == 'Microsoft.KeyVault/vaults'`:                         0, // == minds case, and types are indexed in lower case
		`resources | where name in~ ('ORDERS-CACHE', 'id-orders') and type != 'x'`:      2,
		`resources | where name in ('ORDERS-CACHE')`:                                    0,
		`resources | where name in ('ORDERS-CACHE') or kind == 'v2'`:                    1,
		`resources | where isnotempty(properties.principalId) | project id=tolower(id)`: 1,
		`resources | where tobool(properties.enablePurgeProtection) == true`:            1,
		`resources | take 2`: 2,
		`authorizationresources | where type =~ 'microsoft.authorization/roleassignments' | where properties.principalId in ('` + principal + `')`: 1,
	} {
		if got := w.rows(t, "observer", text); len(got) != want {
			t.Errorf("%s: %d rows, want %d", text, len(got), want)
		}
	}
}

func TestAWrongQueryIsRefused(t *testing.T) {
	t.Parallel()
	w := newARMWorld(t, azuresim.Options{NoGraphQuota: true}, "v2")
	for _, text := range []string{"", "nothere | take 1", "resources | frobnicate", "resources | where type =~ 'x", "resources | where (", "resources | project id,",
		"resources | where f(id)", "resources | order id", "resources take 1", "resources | where type === 'x'", "resources | extend 'x' = id", "resources | take x"} {
		_, err := w.query(t, "observer", text, nil)
		refused(t, err, 400, "BadRequest")
	}
}

func TestWhatIsHiddenIsMissingWithoutAWord(t *testing.T) {
	t.Parallel()
	w := newARMWorld(t, azuresim.Options{}, "v2")
	for who, want := range map[string]int{"observer": 3, "partial": 1, "stranger": 0} {
		if got := w.rows(t, who, "resources | project id"); len(got) != want {
			t.Errorf("%s: %d rows, want %d", who, len(got), want)
		}
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	w := newARMWorld(t, azuresim.Options{NoGraphQuota: true}, "v2")
	for i := range 248 {
		w.AddIdentity(azuresim.Identity{ID: azureid.MustResource(fmt.Sprintf("%s-%03d", uamiID, i))})
	}
	seen, top, o := map[any]bool{}, int32(60), &armresourcegraph.QueryRequestOptions{}
	o.Top = &top
	pages := 0
	for ; ; pages++ {
		resp := must(w.query(t, "observer", "resources | project id | order by id asc", o))(t)
		for _, r := range resp.Data.([]any) {
			seen[r.(map[string]any)["id"]] = true
		}
		if o.SkipToken = resp.SkipToken; o.SkipToken == nil {
			break
		}
	}
	if len(seen) != 251 || pages != 4 {
		t.Errorf("%d rows on %d pages", len(seen), pages+1)
	}
	// 100 rows unless asked; without their id they are cut off for good.
	resp := must(w.query(t, "observer", "resources | project name", nil))(t)
	if len(resp.Data.([]any)) != 100 || resp.SkipToken != nil || *resp.ResultTruncated != armresourcegraph.ResultTruncatedTrue {
		t.Errorf("%d rows, token %v, truncated %s", len(resp.Data.([]any)), resp.SkipToken, *resp.ResultTruncated)
	}
	top = 1001
	_, err := w.query(t, "observer", "resources", o)
	refused(t, err, 400, "BadRequest")
}

func TestTheQuotaIsEachCallersOwn(t *testing.T) {
	t.Parallel()
	w := newARMWorld(t, azuresim.Options{}, "v2")
	for range 15 {
		w.rows(t, "observer", "resources | project id")
	}
	w.Clock().Advance(2 * time.Second)
	for range 15 { // refused ones do not count against the quota
		_, err := w.query(t, "observer", "resources", nil)
		re := refused(t, err, 429, "RateLimiting")
		if h := re.RawResponse.Header; h.Get("Retry-After") != "3" || h.Get("x-ms-user-quota-remaining") != "0" || h.Get("x-ms-user-quota-resets-after") != "00:00:03" {
			t.Errorf("%v", h)
		}
	}
	w.rows(t, "partial", "resources | project id")
	w.Clock().Advance(3 * time.Second)
	w.rows(t, "observer", "resources | project id")
}

func TestRowsLag(t *testing.T) {
	t.Parallel()
	w := newARMWorld(t, azuresim.Options{GraphLag: 10 * time.Minute, NoAdopt: true}, "v2")
	version := func() any { return w.rows(t, "observer", clustersKQL)[0].(map[string]any)["keyVersion"] }
	if version() != w.old.Version {
		t.Fatal("the first look is not the present")
	}
	w.Clock().Advance(time.Hour)
	w.ChangeCluster(azureid.MustResource(clusterID), func(c *azuresim.Cluster) {
		next := *c.CMK
		next.KeyURL = w.next.String()
		c.CMK = &next
	})
	for _, want := range []string{w.old.Version, w.old.Version, w.next.Version} {
		if got := version(); got != want {
			t.Fatalf("%v, want %s", got, want)
		}
		w.Clock().Advance(6 * time.Minute)
	}
}
