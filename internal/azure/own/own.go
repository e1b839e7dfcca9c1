// Package own reads what this installation's own identities were given: their role
// assignments in, above and below the watched subscriptions, and the access policies
// that name them.
//
// It judges nothing (internal/self does), and proves nothing about anybody else.
package own

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/google/uuid"

	"cmkguard/internal/azure/access"
	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/azure/graph"
	"cmkguard/internal/fault"
	"cmkguard/internal/wiring"
)

// Identity is one of ours.
type Identity struct {
	Role       string // "observer", "remediator"
	ClientID   string // "": whoever the environment signs in
	Credential azcore.TokenCredential
}

// Reader reads as the observer.
type Reader struct {
	ids           []Identity
	profile       cloud.Profile
	access        *access.Client
	graph         *graph.Client
	subscriptions []string
	now           func() time.Time
}

// New returns a reader of the identities over the subscriptions.
func New(p cloud.Profile, observer azcore.TokenCredential, ids []Identity, subscriptions []string, now func() time.Time) (*Reader, error) {
	a, err := access.New(p, observer, now)
	if err != nil {
		return nil, err
	}
	g, err := graph.New(p, observer)
	if err != nil {
		return nil, err
	}
	return &Reader{ids: ids, profile: p, access: a, graph: g, subscriptions: subscriptions, now: now}, nil
}

// Own reads each of the identities. What could not be read is an unreadable fact.
func (r *Reader) Own(ctx context.Context) []wiring.OwnIdentity {
	out := make([]wiring.OwnIdentity, 0, len(r.ids))
	for _, id := range r.ids {
		i := wiring.OwnIdentity{Role: id.Role, ClientID: id.ClientID, Object: r.object(ctx, id)}
		if i.Object.OK() {
			i.Grants, i.Policies = r.grants(ctx, i.Object.Value), r.policies(ctx, i.Object.Value)
		}
		out = append(out, i)
	}
	return out
}

// object is the object id out of the identity's own token, or that of the user-assigned
// identity with its client id.
func (r *Reader) object(ctx context.Context, id Identity) wiring.Fact[string] {
	call := "claim oid of the " + id.Role + "'s token"
	oid, err := r.profile.ObjectID(ctx, id.Credential)
	if err == nil {
		if uuid.Validate(oid) == nil {
			return wiring.Read(oid, call, r.now())
		}
		err = fault.New(fault.Invalid, "own.object", "the token's object id is no GUID")
	}
	if id.ClientID == "" {
		return wiring.Failed[string](call, r.now(), err.Error())
	}
	call = "graph identities by client id " + id.ClientID
	all, failed := r.graph.Identities(ctx, r.subscriptions)
	if failed != nil {
		return wiring.Failed[string](call, r.now(), err.Error()+"; "+failed.Error())
	}
	for _, i := range all {
		if strings.EqualFold(i.ClientID, id.ClientID) {
			return wiring.Read(i.PrincipalID, call, r.now())
		}
	}
	return wiring.Failed[string](call, r.now(), err.Error()+"; and no identity with this client id is seen in the watched subscriptions")
}

// grants lists the role assignments with their roles. assignedTo lists what is at,
// above and below a scope, groups included (learn.microsoft.com
// role-based-access-control/role-assignments-list-rest).
func (r *Reader) grants(ctx context.Context, principal string) wiring.Fact[[]wiring.OwnGrant] {
	const call = "arm GET roleAssignments of each subscription"
	if len(r.subscriptions) == 0 {
		return wiring.Failed[[]wiring.OwnGrant](call, r.now(), "no subscription is configured")
	}
	all := map[string]wiring.RoleAssignment{} // those above are listed once for each subscription
	for _, s := range r.subscriptions {
		f := r.access.Assignments(ctx, "/subscriptions/"+s, principal)
		if !f.OK() {
			return wiring.Failed[[]wiring.OwnGrant](f.Call, f.At, orAbsent(f.Why))
		}
		for _, a := range f.Value {
			all[strings.ToLower(a.ID)] = a
		}
	}
	roles := map[string]wiring.Fact[wiring.RoleDefinition]{}
	out := make([]wiring.OwnGrant, 0, len(all))
	for _, id := range slices.Sorted(maps.Keys(all)) {
		a := all[id]
		if _, ok := roles[a.RoleID]; !ok {
			roles[a.RoleID] = r.role(ctx, a.RoleID)
		}
		out = append(out, wiring.OwnGrant{Assignment: a, Role: roles[a.RoleID]})
	}
	return wiring.Read(out, call, r.now())
}

func (r *Reader) role(ctx context.Context, id string) wiring.Fact[wiring.RoleDefinition] {
	f := r.access.Definitions(ctx, []string{id})
	if !f.OK() {
		return wiring.Failed[wiring.RoleDefinition](f.Call, f.At, f.Why)
	}
	d, ok := f.Value[strings.ToLower(id)]
	if !ok {
		return wiring.NotThere[wiring.RoleDefinition](f.Call, f.At, "it is gone")
	}
	return wiring.Read(d, f.Call, f.At)
}

// policies are the access policies that name the identity in vaults that go by them.
func (r *Reader) policies(ctx context.Context, principal string) wiring.Fact[[]wiring.OwnPolicy] {
	const call = "graph list: vaults"
	out, unread := []wiring.OwnPolicy{}, 0
	err := r.graph.VaultDocuments(ctx, r.subscriptions, func(docs []json.RawMessage) error {
		for _, doc := range docs {
			v, err := access.ParseVault(doc)
			if err != nil {
				unread++
				continue
			}
			for _, p := range v.Policies {
				if !v.RBAC && p.ApplicationID == "" && strings.EqualFold(p.ObjectID, principal) {
					out = append(out, wiring.OwnPolicy{Vault: v.ID.String(), Keys: p.Keys})
				}
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return wiring.Failed[[]wiring.OwnPolicy](call, r.now(), err.Error())
	case unread > 0:
		return wiring.Failed[[]wiring.OwnPolicy](call, r.now(), fmt.Sprintf("%d vaults could not be read out of the list", unread))
	}
	return wiring.Read(out, call, r.now())
}

func orAbsent(why string) string {
	if why == "" {
		return "it is not there"
	}
	return why
}
