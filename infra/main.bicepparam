// An example: one subscription, one vault, nothing may be changed yet.
using './main.bicep'

param subscriptions = ['11111111-1111-1111-1111-111111111111']

param vaults = [
  {
    name: 'kv-orders'
    subscriptionId: '11111111-1111-1111-1111-111111111111'
    resourceGroup: 'rg-orders'
    location: 'westeurope'
  }
]

// After `func azure functionapp publish`: true.
param connectEvents = false

// param eventsOver = 'queue'   // by identity, no function key
// param takeVaultLogs = true   // costs money by the hour

// When the dry runs have convinced you, name where it may act: the vaults', the
// clusters' and their identities' resource groups.
param remediate = []
// param remediate = [
//   { subscriptionId: '11111111-1111-1111-1111-111111111111', resourceGroup: 'rg-orders' }
// ]

param secretUris = {
  CMKGUARD_WEBHOOK_SECRET: 'https://kv-ops.vault.azure.net/secrets/cmkguard-webhook'
}
