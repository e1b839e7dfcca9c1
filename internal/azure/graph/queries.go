package graph

// Query is one of the Resource Graph queries that this program sends.
type Query struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// exampleHost stands for the vault's host in the queries that name one.
const exampleHost = "kv-orders.vault.azure.net"

// Queries lists every query of this package, so that they can be checked against
// the language without Azure (make infra-check).
func Queries() []Query {
	return []Query{
		{"clusters", clustersQuery}, {"cluster documents", clusterDocuments}, {"vault documents", vaultDocuments},
		{"vault by host", vaultQuery(exampleHost)}, {"mentions of a vault", mentionsQuery(exampleHost)}, {"identities", identitiesQuery},
		{"uses of identities", usesQuery}, {"system topics", topicsQuery}, {"activity log alerts", alertsQuery},
		{"policy states", policyQuery}, {"classic caches", classicQuery}, {"role assignments", assignmentsQuery}, {"role definitions", rolesQuery},
	}
}
