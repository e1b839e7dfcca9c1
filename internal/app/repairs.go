package app

import (
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"cmkguard/internal/azure/access"
	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/azure/cluster"
	"cmkguard/internal/azure/ears"
	"cmkguard/internal/azure/vault"
	"cmkguard/internal/guard"
	"cmkguard/internal/remedy/repairs"
)

// repairsAs is what can be given back, over clients that act as cred.
func repairsAs(p cloud.Profile, cred azcore.TokenCredential, now func() time.Time) (map[string]guard.RepairMaker, error) {
	v, err := vault.New(p, cred, now)
	if err != nil {
		return nil, err
	}
	c, err := cluster.New(p, cred, now)
	if err != nil {
		return nil, err
	}
	reads, err := access.New(p, cred, now)
	if err != nil {
		return nil, err
	}
	a, err := access.NewWriter(p, cred, reads)
	if err != nil {
		return nil, err
	}
	e, err := ears.New(p, cred, now)
	if err != nil {
		return nil, err
	}
	return repairs.Over(v, c, a, e), nil
}
