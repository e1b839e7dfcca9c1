// The events of one vault, in the vault's own resource group and region.
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

  // Event Grid calls a function with the function's own key: an identity is for
  // the other kinds of endpoint, and here for the dead letters.
  resource subscription 'eventSubscriptions' = {
    name: 'cmkguard'
    properties: {
      destination: {
        endpointType: 'AzureFunction'
        properties: {
          resourceId: functionId
          maxEventsPerBatch: 10
          preferredBatchSizeInKilobytes: 64
        }
      }
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
    }
  }
}
