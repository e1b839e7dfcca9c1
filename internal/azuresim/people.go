package azuresim

import (
	"strings"

	"cmkguard/internal/azureid"
)

// person is in whose name the methods of this file act.
const person = "cccccccc-0000-4000-8000-00000000000c"

// act changes the world in a person's name and hands out what follows.
func (s *Sim) act(change func()) {
	s.mu.Lock()
	s.settle()
	change()
	s.settle()
	s.mu.Unlock()
	s.handOut()
}

func (s *Sim) personal(operation string, k azureid.Key, change func(*Vault, *Key)) {
	s.act(func() {
		v := s.vaults[k.Host]
		change(v, v.Keys[strings.ToLower(k.Name)])
		s.auditRecord(operation, v, "https://"+v.Host+"/keys/"+k.Name, person, s.eventID(), "Success", 200)
	})
}

// DeleteKey deletes a key softly, as a person would. Event Grid has no event
// for it [D: event-schema-key-vault]; the vault's log has.
func (s *Sim) DeleteKey(k azureid.Key) { s.personal("KeyDelete", k, s.deleteSoftly) }

// RecoverKey brings a deleted key back.
func (s *Sim) RecoverKey(k azureid.Key) {
	s.personal("KeyRecover", k, func(_ *Vault, key *Key) { key.Deleted = nil })
}

// ChangeVersion changes a version's attributes: disabled, another expiry.
func (s *Sim) ChangeVersion(k azureid.Key, change func(*Version)) {
	s.personal("KeyUpdate", k, func(_ *Vault, key *Key) {
		for _, ver := range key.Versions {
			if ver.ID == k.Version {
				change(ver)
			}
		}
	})
}

// RemoveCluster deletes a cluster as its owner would.
func (s *Sim) RemoveCluster(id azureid.Resource) {
	s.act(func() {
		delete(s.clusters, id.Key())
		s.emitResource("ResourceDeleteSuccess", "Microsoft.Cache/redisEnterprise/delete", id.String(), person)
	})
}

// CreateVersion makes a new version of a key as a person would, and returns it.
func (s *Sim) CreateVersion(k azureid.Key, o KeyOptions) azureid.Key {
	s.personal("KeyCreate", k, func(v *Vault, key *Key) { k = k.At(s.addVersion(v, key, o).ID) })
	return k
}

// Grant assigns the role to the principal as a person would.
func (s *Sim) Grant(scope, roleID, principalID string) {
	s.act(func() {
		s.assign(scope, roleID, principalID, s.clock.Now())
		s.emitResource("ResourceWriteSuccess", "Microsoft.Authorization/roleAssignments/write", s.assignments[len(s.assignments)-1].ID, person)
	})
}
