// The events of one watched subscription. A system topic lies in a resource
// group of the subscription that it hears: this makes one for it.
targetScope = 'subscription'

param groupName string

@description('Where the resource group\'s own metadata is kept. The topic is global.')
param location string
param deliveryIdentityId string
param functionId string
param storageId string

@allowed(['function', 'queue'])
param eventsOver string = 'function'

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: groupName
  location: location
}

module topic 'resources.bicep' = {
  name: 'cmkguard-resources'
  scope: group
  params: {
    deliveryIdentityId: deliveryIdentityId
    functionId: functionId
    storageId: storageId
    eventsOver: eventsOver
  }
}
