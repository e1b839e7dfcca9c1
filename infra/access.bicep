// What CMK Guard may do in one subscription, as two roles of its own. Neither
// holds a wildcard, a delete, a purge, a backup or a right over access.
targetScope = 'subscription'

param observerPrincipalId string

resource observerRole 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, 'cmkguard-observer')
  properties: {
    roleName: 'CMK Guard Observer (${uniqueString(subscription().id)})'
    description: 'Reads the chain from a Redis cluster to its customer-managed key. Writes nothing.'
    type: 'CustomRole'
    assignableScopes: [subscription().id]
    permissions: [
      {
        actions: [
          'Microsoft.Cache/redisEnterprise/read'
          'Microsoft.Cache/redisEnterprise/databases/read'
          'Microsoft.KeyVault/vaults/read'
          'Microsoft.KeyVault/locations/deletedVaults/read'
          'Microsoft.ManagedIdentity/userAssignedIdentities/read'
          // "No cluster uses this key" counts only when we know that we see all.
          'Microsoft.Authorization/permissions/read'
          'Microsoft.Authorization/roleAssignments/read'
          'Microsoft.Authorization/roleDefinitions/read'
          'Microsoft.Authorization/denyAssignments/read'
          'Microsoft.Authorization/locks/read'
          'Microsoft.Insights/diagnosticSettings/read'
          'Microsoft.EventGrid/eventSubscriptions/read'
          'Microsoft.EventGrid/systemTopics/read'
          'Microsoft.EventGrid/systemTopics/eventSubscriptions/read'
          'Microsoft.ResourceGraph/resources/read'
          'Microsoft.Resources/subscriptions/read'
          'Microsoft.Resources/subscriptions/resourceGroups/read'
        ]
        notActions: []
        dataActions: [
          'Microsoft.KeyVault/vaults/keys/read'
          'Microsoft.KeyVault/vaults/keyrotationpolicies/read'
        ]
        notDataActions: []
      }
    ]
  }
}

// Its assignment is per resource group: remediate.bicep.
resource remediatorRole 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, 'cmkguard-remediator')
  properties: {
    roleName: 'CMK Guard Remediator (${uniqueString(subscription().id)})'
    description: 'Rotates keys and points Redis clusters at new versions. Cannot delete, purge, disable, back up or grant.'
    type: 'CustomRole'
    assignableScopes: [subscription().id]
    permissions: [
      {
        actions: [
          'Microsoft.Cache/redisEnterprise/read'
          'Microsoft.Cache/redisEnterprise/write' // there is no narrower right for a PATCH
          'Microsoft.Cache/locations/operationsStatus/read'
          // A PATCH sends the cluster's identities along, and Azure asks for it then.
          'Microsoft.ManagedIdentity/userAssignedIdentities/read'
          'Microsoft.ManagedIdentity/userAssignedIdentities/assign/action'
        ]
        notActions: []
        dataActions: [
          'Microsoft.KeyVault/vaults/keys/read'
          'Microsoft.KeyVault/vaults/keys/rotate/action'
          // Not keys/update/action: it could disable a version.
        ]
        notDataActions: []
      }
    ]
  }
}

resource observes 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(subscription().id, observerPrincipalId, 'cmkguard-observer')
  properties: {
    principalId: observerPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: observerRole.id
  }
}
