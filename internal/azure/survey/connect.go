package survey

import (
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"cmkguard/internal/azure/access"
	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/azure/cluster"
	"cmkguard/internal/azure/graph"
	"cmkguard/internal/azure/posture"
	"cmkguard/internal/azure/vault"
)

// Connect returns a survey of the subscriptions over the real adapters, all
// acting as cred: the observer, which can write nothing.
func Connect(p cloud.Profile, cred azcore.TokenCredential, subscriptions []string, now func() time.Time) (*Survey, error) {
	c, err := cluster.New(p, cred, now)
	if err != nil {
		return nil, err
	}
	v, err := vault.New(p, cred, now)
	if err != nil {
		return nil, err
	}
	a, err := access.New(p, cred, now)
	if err != nil {
		return nil, err
	}
	g, err := graph.New(p, cred)
	if err != nil {
		return nil, err
	}
	around, err := posture.New(p, cred, now)
	if err != nil {
		return nil, err
	}
	src := Sources{
		Clusters: c, Keys: v, Rotations: v, Resources: a, Grants: a, Map: g,
		Around: &Surroundings{Vaults: around, Estate: around, Parts: around, Topics: around, Lists: g, Holders: g, Extras: g},
		Rows:   rows{g, p.Cloud, now}, Mentions: g,
	}
	return New(src, p.Cloud, subscriptions, now), nil
}
