// Lets the remediator act in this resource group, by the role of access.bicep.
targetScope = 'resourceGroup'

param remediatorPrincipalId string

resource acts 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(resourceGroup().id, remediatorPrincipalId, 'cmkguard-remediator')
  properties: {
    principalId: remediatorPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', guid(subscription().id, 'cmkguard-remediator'))
  }
}
