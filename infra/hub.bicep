// The Event Hub that takes the vaults' audit logs, and the observer's right to
// read it.
targetScope = 'resourceGroup'

param namespaceName string
param location string
param observerPrincipalId string

// Azure Event Hubs Data Receiver: learn.microsoft.com
// role-based-access-control/built-in-roles.
var dataReceiver = 'a638d3c7-ab3a-418d-83e6-5f17a39d4fde'

resource hubs 'Microsoft.EventHub/namespaces@2024-01-01' = {
  name: namespaceName
  location: location
  sku: { name: 'Standard', tier: 'Standard', capacity: 1 }
  properties: {
    // Azure Monitor sends with the key of a rule, not with an identity: README.md.
    disableLocalAuth: false
    // A full hub would push the log back, and we would be deaf just then.
    isAutoInflateEnabled: true
    maximumThroughputUnits: 4
    minimumTlsVersion: '1.2'
  }

  resource hub 'eventhubs' = {
    name: 'insights-logs-auditevent'
    properties: {
      messageRetentionInDays: 7
      partitionCount: 4
    }
  }

  // All three, as learn.microsoft.com azure-monitor/essentials/diagnostic-settings
  // asks ("Destination limitations"). Only Azure Monitor uses it.
  resource diagnostics 'authorizationRules' = {
    name: 'diagnostics'
    properties: {
      rights: ['Listen', 'Manage', 'Send']
    }
  }
}

resource observerReads 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(hubs::hub.id, observerPrincipalId, dataReceiver)
  scope: hubs::hub
  properties: {
    principalId: observerPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', dataReceiver)
  }
}
