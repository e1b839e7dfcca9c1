package azuresim

import (
	"crypto/rsa"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"cmkguard/internal/azureid"
)

// Options choose a world's parameters; the zero value is usable.
type Options struct {
	Start      time.Time
	Seed       uint64
	TenantID   string
	Wall       func() time.Time // not nil: the clock also runs with this one
	AdoptAfter time.Duration    // v2 clusters adopt a new version after this; default 90 min ([D]: within two hours)
	NoAdopt    bool             // [?] switch: v2 clusters do not adopt
	HideAdopt  bool             // [?] switch: GET does not show an adopted version
	PatchTakes time.Duration    // default 5 min ([?]: not documented)
	StateLag   time.Duration    // resourceState trails the operation by this; default 1 min [D]
	SyncRefuse bool             // [?] switch: an unreachable key is refused at once, not by the operation
	// [M] switch: a key without a rotation policy shows a Notify of 30 days before expiry.
	DefaultNotify bool
	OfflineLag    time.Duration // a cluster that cannot unwrap goes Disabled after this; default 1 h [I]

	// OnEvent takes each event as Event Grid would deliver it, OnAudit each
	// AuditEvent record of a vault's log; in order, with no lock held. They see
	// what happens through requests, through time, and through the mutators
	// that say so.
	OnEvent     func(payload []byte)
	OnAudit     func(record []byte)
	CloudEvents bool // events in the CloudEvents schema
	BareNotes   bool // [?] switch: the log's rows of published events name the key only, and outside of properties

	AddReplaces  bool          // [?] switch: an access policy that is added takes the place of the object's entry
	KeepTopics   bool          // [?] switch: a deleted vault's system topic stays, without its subscriptions
	GraphLag     time.Duration // Resource Graph shows the world of this long ago; default: the present
	Still        bool          // nothing happens by itself: for worlds so large that looking at each cluster at each request is what takes the time
	NoGraphQuota bool          // Resource Graph does not count queries
}

// Sim is one simulated Azure. Its methods may be called at any time.
type Sim struct {
	o     Options
	mu    sync.Mutex
	clock *Clock
	ahead time.Duration // of the clock, in the answers' Date
	rand  *rand.Rand

	vaults      map[string]*Vault   // by host
	identities  map[string]Identity // by lower-case id
	clusters    map[string]*Cluster // by lower-case id
	assignments []RoleAssignment
	roles       map[string]RoleDefinition
	denies      []DenyAssignment
	callers     map[string]*Caller // by token
	lostAt      map[string]time.Time
	faults      []*Fault
	tap         Tap
	late        []lateEffect
	calls       []Call
	emissions   []emission
	emitted     int
	published   []json.RawMessage
	graphPast   []graphSnapshot // oldest first; kept only with a GraphLag
	documents   documents
	topics      map[string]*systemTopic // by lower-case id
	signing     sync.Once
	signingKey  *rsa.PrivateKey
}

// New returns an empty world.
func New(o Options) *Sim {
	if o.Start.IsZero() {
		o.Start = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	}
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&o.AdoptAfter, 90*time.Minute)
	def(&o.PatchTakes, 5*time.Minute)
	def(&o.StateLag, time.Minute)
	def(&o.OfflineLag, time.Hour)
	if o.TenantID == "" {
		o.TenantID = "44444444-4444-4444-4444-444444444444"
	}
	return &Sim{
		o: o, clock: newClock(o.Start, o.Wall), rand: rand.New(rand.NewPCG(o.Seed, 1)),
		vaults: map[string]*Vault{}, identities: map[string]Identity{}, clusters: map[string]*Cluster{},
		roles: builtinRoles(), callers: map[string]*Caller{}, lostAt: map[string]time.Time{},
	}
}

// Clock returns the world's clock.
func (s *Sim) Clock() *Clock { return s.clock }

// Clock is a clock that can be moved forward.
type Clock struct {
	mu    sync.Mutex
	at    time.Time
	wall  func() time.Time
	since time.Time
}

func newClock(start time.Time, wall func() time.Time) *Clock {
	c := &Clock{at: start.UTC(), wall: wall}
	if wall != nil {
		c.since = wall()
	}
	return c
}

// Now returns the world's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wall == nil {
		return c.at
	}
	return c.at.Add(c.wall().Sub(c.since))
}

// Advance moves the world's time forward.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// AddVault adds a vault; what is empty gets a healthy value.
func (s *Sim) AddVault(v Vault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.Host == "" {
		v.Host = strings.ToLower(v.ID.Name()) + ".vault.azure.net"
	}
	if v.TenantID == "" {
		v.TenantID = s.o.TenantID
	}
	if v.SKU == "" {
		v.SKU = "premium"
	}
	if v.RetentionDays == 0 {
		v.RetentionDays = 90
	}
	v.Keys = map[string]*Key{}
	s.vaults[v.Host] = &v
}

// KeyOptions describe a new key's first version.
type KeyOptions struct {
	Created time.Time
	Expires *time.Time
	Type    string // default RSA
	Bits    int    // default 3072
	Ops     []string
	Policy  Rotation
	Tags    map[string]string
}

// AddKey adds a key with one version and returns that version.
func (s *Sim) AddKey(host, name string, o KeyOptions) azureid.Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := &Key{Name: name, Rotation: o.Policy, Tags: o.Tags}
	s.vaults[host].Keys[strings.ToLower(name)] = k
	v := s.newVersion(o)
	k.Versions = append(k.Versions, v)
	return azureid.Key{Host: host, Name: name, Version: v.ID}
}

// AddVersion adds a version to a key, as somebody else would, and returns it.
func (s *Sim) AddVersion(k azureid.Key, o KeyOptions) azureid.Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.newVersion(o)
	key := s.vaults[k.Host].Keys[strings.ToLower(k.Name)]
	key.Versions = append(key.Versions, v)
	return k.At(v.ID)
}

func (s *Sim) newVersion(o KeyOptions) *Version {
	if o.Created.IsZero() {
		o.Created = s.clock.Now()
	}
	if o.Type == "" {
		o.Type = "RSA"
	}
	if o.Bits == 0 {
		o.Bits = 3072
	}
	if o.Ops == nil {
		o.Ops = []string{"wrapKey", "unwrapKey"}
	}
	modulus := s.random(o.Bits / 8)
	modulus[0] |= 0x80 // a modulus has its full length
	created := o.Created.UTC().Truncate(time.Second)
	return &Version{
		ID: hex.EncodeToString(s.random(16)), Type: o.Type, Bits: o.Bits, Ops: o.Ops, Enabled: true,
		Created: created, Updated: created, Expires: o.Expires, Modulus: modulus,
	}
}

func (s *Sim) random(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(s.rand.Uint32())
	}
	return b
}

// AddIdentity adds a user-assigned identity.
func (s *Sim) AddIdentity(i Identity) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i.TenantID == "" {
		i.TenantID = s.o.TenantID
	}
	s.identities[i.ID.Key()] = i
}

// AddCluster adds a running cluster.
func (s *Sim) AddCluster(c Cluster) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.ProvisioningState, c.ResourceState = "Succeeded", "Running"
	s.clusters[c.ID.Key()] = &c
}

// AddCaller lets somebody in.
func (s *Sim) AddCaller(c Caller) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.callers[c.Token] = &c
}

// Assign adds a role assignment that took effect long ago.
func (s *Sim) Assign(scope, roleID, principalID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.assign(scope, roleID, principalID, s.clock.Now().Add(-90*24*time.Hour))
}

func (s *Sim) assign(scope, roleID, principalID string, at time.Time) {
	s.assignments = append(s.assignments, RoleAssignment{
		ID:    scope + "/providers/Microsoft.Authorization/roleAssignments/" + s.guid(),
		Scope: scope, RoleID: roleID, PrincipalID: principalID, Type: "ServicePrincipal", CreatedOn: at,
	})
}

func (s *Sim) guid() string {
	h := hex.EncodeToString(s.random(16))
	return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-a" + h[17:20] + "-" + h[20:]
}

// Unassign removes every assignment of the principal.
func (s *Sim) Unassign(principalID string) {
	s.act(func() {
		var kept []RoleAssignment
		for _, a := range s.assignments {
			if !strings.EqualFold(a.PrincipalID, principalID) {
				kept = append(kept, a)
				continue
			}
			s.emitResource("ResourceDeleteSuccess", "Microsoft.Authorization/roleAssignments/delete", a.ID, person)
		}
		s.assignments = kept
	})
}

// ChangeVault changes a vault as its owner would.
func (s *Sim) ChangeVault(host string, change func(*Vault)) {
	s.act(func() {
		v := s.vaults[host]
		before := len(v.Policies)
		change(v)
		s.emitResource("ResourceWriteSuccess", "Microsoft.KeyVault/vaults/write", v.ID.String(), person)
		if len(v.Policies) != before {
			s.emitEvent(v.ID.String(), v.ID.Name(), "Microsoft.KeyVault.VaultAccessPolicyChanged", map[string]any{
				"Id": "https://" + v.Host + "/", "VaultName": v.ID.Name(), "ObjectType": "Vault", "ObjectName": v.ID.Name(), "Version": "", "NBF": nil, "EXP": nil})
			s.noted("VaultAccessPolicyChanged", v, v.ID.Name(), map[string]any{"VaultName": v.ID.Name()})
		}
	})
}

// ChangeCluster changes a cluster as its owner would.
func (s *Sim) ChangeCluster(id azureid.Resource, change func(*Cluster)) {
	s.act(func() {
		change(s.clusters[id.Key()])
		s.emitResource("ResourceWriteSuccess", "Microsoft.Cache/redisEnterprise/write", id.String(), person)
	})
}

// Cluster returns a copy of a cluster as GET would show it now.
func (s *Sim) Cluster(id azureid.Resource) Cluster {
	s.mu.Lock()
	defer s.handOut()
	defer s.mu.Unlock()
	s.settle()
	return *s.clusters[id.Key()]
}

// Versions returns the ids of a key's versions, oldest first.
func (s *Sim) Versions(k azureid.Key) []string {
	s.mu.Lock()
	defer s.handOut()
	defer s.mu.Unlock()
	s.settle()
	var out []string
	for _, v := range s.vaults[k.Host].Keys[strings.ToLower(k.Name)].Versions {
		out = append(out, v.ID)
	}
	return out
}

// Transport carries requests to the world in memory.
func (s *Sim) Transport() http.RoundTripper { return memory{s} }

type memory struct{ s *Sim }

// RoundTrip implements http.RoundTripper.
func (m memory) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	defer func() {
		if p := recover(); p != nil { // a handler cuts the connection by panicking
			resp, err = nil, errCut
		}
	}()
	in := r.Clone(r.Context())
	in.Host = r.URL.Host
	if in.Body == nil {
		in.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	m.s.ServeHTTP(w, in)
	out := w.Result()
	out.Request = r
	return out, nil
}

// Do implements the SDK's policy.Transporter.
func (m memory) Do(r *http.Request) (*http.Response, error) { return m.RoundTrip(r) }
