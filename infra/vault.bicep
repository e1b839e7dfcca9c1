// The events of one vault, in the vault's own resource group and region, and its
// audit log where there is a hub for it.
//
// Deleting a vault deletes these subscriptions, and recovering it does not bring
// them back: deploy again afterwards.
targetScope = 'resourceGroup'

param vaultName string
param location string
param deliveryIdentityId string

@description('ARM id of the function keyvaultevents, which must be published.')
param functionId string

@description('ARM id of the storage account with the container cmkguard-deadletter.')
param storageId string

@description('The queue cmkguard-events of that account, by identity, or the function.')
@allowed(['function', 'queue'])
param eventsOver string = 'function'

@description('ARM id of the authorization rule by which Azure Monitor sends the audit log to the hub insights-logs-auditevent, which must be in the vault\'s region. Empty: the log is sent nowhere.')
param hubRuleId string = ''

// Event Grid calls a function with the function's own key: an identity is for
// the other kinds of endpoint, and for the dead letters.
var route = eventsOver == 'queue' ? {
  deliveryWithResourceIdentity: {
    identity: {
      type: 'UserAssigned'
      userAssignedIdentity: deliveryIdentityId
    }
    destination: {
      endpointType: 'StorageQueue'
      properties: {
        resourceId: storageId
        queueName: 'cmkguard-events'
        queueMessageTimeToLiveInSeconds: -1
      }
    }
  }
} : {
  destination: {
    endpointType: 'AzureFunction'
    properties: {
      resourceId: functionId
      maxEventsPerBatch: 10
      preferredBatchSizeInKilobytes: 64
    }
  }
}

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' existing = {
  name: vaultName
}

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' = {
  name: 'cmkguard-${vaultName}'
  location: location
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${deliveryIdentityId}': {} }
  }
  properties: {
    source: vault.id
    topicType: 'Microsoft.KeyVault.vaults'
  }

  resource subscription 'eventSubscriptions' = {
    name: 'cmkguard'
    properties: union(route, {
      eventDeliverySchema: 'CloudEventSchemaV1_0'
      filter: {
        enableAdvancedFilteringOnArrays: true
        includedEventTypes: [
          'Microsoft.KeyVault.KeyNearExpiry'
          'Microsoft.KeyVault.KeyExpired'
          'Microsoft.KeyVault.KeyNewVersionCreated'
          'Microsoft.KeyVault.VaultAccessPolicyChanged'
        ]
      }
      retryPolicy: {
        maxDeliveryAttempts: 30
        eventTimeToLiveInMinutes: 1440
      }
      deadLetterWithResourceIdentity: {
        identity: {
          type: 'UserAssigned'
          userAssignedIdentity: deliveryIdentityId
        }
        deadLetterDestination: {
          endpointType: 'StorageBlob'
          properties: {
            resourceId: storageId
            blobContainerName: 'cmkguard-deadletter'
          }
        }
      }
    })
  }
}

// A key that is deleted, disabled or purged has no event: only the log tells.
resource audit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (!empty(hubRuleId)) {
  name: 'cmkguard-audit'
  scope: vault
  properties: {
    eventHubAuthorizationRuleId: hubRuleId
    eventHubName: 'insights-logs-auditevent'
    logs: [
      { category: 'AuditEvent', enabled: true }
    ]
  }
}
