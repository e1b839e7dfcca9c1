// What is done to the resources of this resource group's subscription: the
// system topic of the subscription, and what of it is taken.
//
// An event subscription takes 25 values of advanced filters at most, so there
// are two (learn.microsoft.com event-grid/event-filtering). Which operations mean
// something is said by internal/event/operations.go; a test holds these against it.
targetScope = 'resourceGroup'

param deliveryIdentityId string

@description('ARM id of the function resourceevents, which must be published.')
param functionId string

@description('ARM id of the storage account with the container cmkguard-deadletter and the queue cmkguard-events.')
param storageId string

@allowed(['function', 'queue'])
param eventsOver string = 'function'

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

var delivered = union(route, {
  eventDeliverySchema: 'CloudEventSchemaV1_0'
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

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' = {
  name: 'cmkguard-resources'
  location: 'global'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${deliveryIdentityId}': {} }
  }
  properties: {
    source: subscription().id
    topicType: 'Microsoft.Resources.Subscriptions'
  }

  // By prefix: no capture of redisEnterprise's operation names exists, and a few
  // more that mean nothing cost little. A write or delete that failed can leave a
  // cluster half changed.
  resource chain 'eventSubscriptions' = {
    name: 'cmkguard-chain'
    properties: union(delivered, {
      filter: {
        enableAdvancedFilteringOnArrays: true
        includedEventTypes: [
          'Microsoft.Resources.ResourceWriteSuccess'
          'Microsoft.Resources.ResourceWriteFailure'
          'Microsoft.Resources.ResourceWriteCancel'
          'Microsoft.Resources.ResourceDeleteSuccess'
          'Microsoft.Resources.ResourceDeleteFailure'
          'Microsoft.Resources.ResourceDeleteCancel'
          'Microsoft.Resources.ResourceActionSuccess'
        ]
        advancedFilters: [
          {
            operatorType: 'StringBeginsWith'
            key: 'data.operationName'
            values: [
              'Microsoft.Cache/redisEnterprise/'
              'Microsoft.KeyVault/vaults/'
              'Microsoft.KeyVault/locations/deletedVaults/'
              'Microsoft.ManagedIdentity/userAssignedIdentities/'
            ]
          }
        ]
      }
    })
  }

  resource governance 'eventSubscriptions' = {
    name: 'cmkguard-governance'
    properties: union(delivered, {
      filter: {
        enableAdvancedFilteringOnArrays: true
        includedEventTypes: [
          'Microsoft.Resources.ResourceWriteSuccess'
          'Microsoft.Resources.ResourceDeleteSuccess'
        ]
        advancedFilters: [
          {
            operatorType: 'StringIn'
            key: 'data.operationName'
            values: [
              'Microsoft.Authorization/roleAssignments/write'
              'Microsoft.Authorization/roleAssignments/delete'
              'Microsoft.Authorization/roleDefinitions/write'
              'Microsoft.Authorization/roleDefinitions/delete'
              'Microsoft.Authorization/locks/write'
              'Microsoft.Authorization/locks/delete'
              'Microsoft.Insights/diagnosticSettings/write'
              'Microsoft.Insights/diagnosticSettings/delete'
              'Microsoft.EventGrid/eventSubscriptions/write'
              'Microsoft.EventGrid/eventSubscriptions/delete'
              'Microsoft.EventGrid/systemTopics/eventSubscriptions/write'
              'Microsoft.EventGrid/systemTopics/eventSubscriptions/delete'
              'Microsoft.EventGrid/systemTopics/delete'
              'Microsoft.Network/privateEndpoints/write'
              'Microsoft.Network/privateEndpoints/delete'
              'Microsoft.Network/firewallPolicies/write'
              'Microsoft.Network/azureFirewalls/write'
            ]
          }
        ]
      }
    })
    dependsOn: [chain] // one after the other: both write to one topic
  }
}
