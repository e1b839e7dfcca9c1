// CMK Guard on Azure Functions (Flex Consumption, custom handler), with what it
// needs around it and nothing that could delete, purge or revoke.
//
//   main.bicep      this resource group: app, identities, storage, telemetry
//   access.bicep    per watched subscription: two custom roles, observer's grant
//   remediate.bicep per resource group that may be acted on: remediator's grant
//   vault.bicep     per vault: system topic, event subscription, audit log
//   subscription.bicep, resources.bicep
//                   per watched subscription: system topic and event subscriptions
//   hub.bicep       where the vaults' audit logs go
targetScope = 'resourceGroup'

@description('Region of the app.')
param location string = resourceGroup().location

@description('Start of every name; 3 to 11 small letters and digits.')
@minLength(3)
@maxLength(11)
param prefix string = 'cmkguard'

@description('Ids of the subscriptions to watch: the observer reads clusters, vaults, keys (public parts), identities and role assignments there.')
@minLength(1)
param subscriptions string[]

@description('A resource group in which the remediator may rotate keys and point clusters at new versions.')
type actOn = {
  subscriptionId: string
  resourceGroup: string
}

@description('Where anything may be changed at all. Empty: nothing can be written anywhere, whatever the policy says.')
param remediate actOn[] = []

@description('A vault whose events are taken.')
type watchedVault = {
  name: string
  subscriptionId: string
  resourceGroup: string
  location: string
}

@description('Vaults to subscribe to. Each may have one system topic only: see README.md where one exists.')
param vaults watchedVault[] = []

@description('Connect the event subscriptions. Event Grid checks the function when it connects: deploy with false, publish the package, deploy again with true.')
param connectEvents bool = false

@description('Subscriptions whose resource events are taken. Each may have one system topic only: see README.md where one exists.')
param resourceEvents string[] = subscriptions

@description('How Event Grid hands events over: it calls the functions with their keys, or puts them into the queue cmkguard-events by identity.')
@allowed(['function', 'queue'])
param eventsOver string = 'function'

@description('Send the audit logs of the vaults in this region to an Event Hub and take them in. It costs money by the hour: see README.md.')
param takeVaultLogs bool = false

@description('Path of the policy file inside the package. Empty: the built-in policy, which is a dry run.')
param policyFile string = ''

@description('Client id of the app registration whose app role CMKGuard.Approver the people who approve repairs hold. Empty: nobody can approve.')
param approvalAudience string = ''

@description('Settings that are secrets, as Key Vault secret URIs: by setting name, such as CMKGUARD_WEBHOOK_SECRET.')
param secretUris object = {}

@description('Base of the links in alerts. Empty: the app\'s own host.')
param publicUrl string = ''

@description('How long the audit log\'s bytes can be neither changed nor deleted. The policy is not locked by this template.')
@minValue(1)
@maxValue(146000)
param auditRetentionDays int = 400

@description('Instances that are kept warm for the work queue; 0 starts them on demand.')
@minValue(0)
param alwaysReadyWork int = 0

@allowed([512, 2048, 4096])
param instanceMemoryMB int = 512

var suffix = uniqueString(resourceGroup().id)
var storageName = '${prefix}${suffix}'
var appName = '${prefix}-${suffix}'
var packageContainer = 'cmkguard-package'
var canWrite = !empty(remediate)
var region = toLower(replace(location, ' ', ''))
var hubNamespace = '${prefix}-${suffix}'
var hubRuleId = resourceId('Microsoft.EventHub/namespaces/authorizationRules', hubNamespace, 'diagnostics')

// No suffix of Event Hubs is in environment(): learn.microsoft.com, "Compare
// Azure Government and global Azure", "Azure in China developer guide".
var hubDomain = environment().name == 'AzureUSGovernment' ? 'servicebus.usgovcloudapi.net' : environment().name == 'AzureChinaCloud' ? 'servicebus.chinacloudapi.cn' : 'servicebus.windows.net'

// Built-in roles: learn.microsoft.com role-based-access-control/built-in-roles.
var roles = {
  blobDataOwner: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  blobDataContributor: 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
  queueDataContributor: '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
  queueMessageSender: 'c6a89b2d-59bc-44d0-9896-0f6e12d7b80a'
  tableDataContributor: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
  metricsPublisher: '3913510d-42f4-4e42-8a64-420c390055eb'
}

// Three identities, so that a stolen token of one is not a token of the others:
// the observer reads and keeps state, the remediator writes to keys and
// clusters, and Event Grid's reaches one container and at most one queue.
resource observer 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: '${prefix}-observer'
  location: location
}

resource remediator 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: '${prefix}-remediator'
  location: location
}

resource delivery 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: '${prefix}-delivery'
  location: location
}

resource storage 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: storageName
  location: location
  kind: 'StorageV2'
  sku: { name: 'Standard_ZRS' }
  properties: {
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false // keys cannot be told apart in a log; identities can
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
  }

  resource blobs 'blobServices' = {
    name: 'default'
    properties: {
      deleteRetentionPolicy: { enabled: true, days: 30 }
      containerDeleteRetentionPolicy: { enabled: true, days: 30 }
    }

    resource package 'containers' = {
      name: packageContainer
    }

    resource deadLetter 'containers' = {
      name: 'cmkguard-deadletter'
    }

    resource audit 'containers' = {
      name: 'cmkguard-audit'

      // The journal is append blobs: without protected appends a time-based
      // policy would stop it from being written.
      resource keep 'immutabilityPolicies' = {
        name: 'default'
        properties: {
          immutabilityPeriodSinceCreationInDays: auditRetentionDays
          allowProtectedAppendWrites: true
        }
      }
    }
  }

  resource queues 'queueServices' = {
    name: 'default'

    resource eventQueue 'queues' = {
      name: 'cmkguard-events'
    }

    resource workQueue 'queues' = {
      name: 'cmkguard-work'
    }
  }

  resource tables 'tableServices' = {
    name: 'default'

    resource state 'tables' = {
      name: 'cmkguardstate'
    }
  }
}

resource observerStorage 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in [
  roles.blobDataOwner
  roles.queueDataContributor
  roles.tableDataContributor
]: {
  name: guid(storage.id, observer.id, role)
  scope: storage
  properties: {
    principalId: observer.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
  }
}]

resource deadLetterWriter 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(storage::blobs::deadLetter.id, delivery.id, roles.blobDataContributor)
  scope: storage::blobs::deadLetter
  properties: {
    principalId: delivery.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.blobDataContributor)
  }
}

resource eventSender 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (eventsOver == 'queue') {
  name: guid(storage::queues::eventQueue.id, delivery.id, roles.queueMessageSender)
  scope: storage::queues::eventQueue
  properties: {
    principalId: delivery.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.queueMessageSender)
  }
}

module hub 'hub.bicep' = if (takeVaultLogs) {
  name: 'cmkguard-hub'
  params: {
    namespaceName: hubNamespace
    location: location
    observerPrincipalId: observer.properties.principalId
  }
}

resource logs 'Microsoft.OperationalInsights/workspaces@2025-02-01' = {
  name: '${prefix}-logs'
  location: location
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: 90
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: '${prefix}-insights'
  location: location
  kind: 'web'
  properties: {
    Application_Type: 'web'
    DisableLocalAuth: true
    WorkspaceResourceId: logs.id
  }
}

resource observerMetrics 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(insights.id, observer.id, roles.metricsPublisher)
  scope: insights
  properties: {
    principalId: observer.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.metricsPublisher)
  }
}

resource plan 'Microsoft.Web/serverfarms@2024-11-01' = {
  name: '${prefix}-plan'
  location: location
  kind: 'functionapp'
  sku: { tier: 'FlexConsumption', name: 'FC1' }
  properties: { reserved: true }
}

// FUNCTIONS_WORKER_RUNTIME is not among them: Flex takes it from
// functionAppConfig and refuses the setting.
var settings = union({
  AzureWebJobsStorage__accountName: storage.name
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: observer.properties.clientId
  CMKGUARD_STORAGE__accountName: storage.name
  'AzureWebJobs.vaultlogs.Disabled': takeVaultLogs ? 'false' : 'true' // without a hub the trigger would fail for ever
  CMKGUARD_STORAGE__credential: 'managedidentity'
  CMKGUARD_STORAGE__clientId: observer.properties.clientId
  APPLICATIONINSIGHTS_CONNECTION_STRING: insights.properties.ConnectionString
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${observer.properties.clientId};Authorization=AAD'
  CMKGUARD_STATE: 'azure'
  CMKGUARD_CLOUD: environment().name == 'AzureUSGovernment' ? 'usgov' : environment().name == 'AzureChinaCloud' ? 'china' : 'public'
  CMKGUARD_SUBSCRIPTIONS: join(subscriptions, ',')
  CMKGUARD_OBSERVER_CLIENT_ID: observer.properties.clientId
  CMKGUARD_REMEDIATOR_CLIENT_ID: canWrite ? remediator.properties.clientId : ''
  CMKGUARD_POLICY: policyFile
  CMKGUARD_PUBLIC_URL: empty(publicUrl) ? 'https://${appName}.azurewebsites.net' : publicUrl
  CMKGUARD_LOG_LEVEL: 'info'
  CMKGUARD_APPROVAL_TENANT: tenant().tenantId
  CMKGUARD_APPROVAL_AUDIENCE: approvalAudience // CMKGUARD_APPROVAL_KEY comes with the secrets
}, takeVaultLogs ? {
  CMKGUARD_EVENTHUB__fullyQualifiedNamespace: '${hubNamespace}.${hubDomain}'
  CMKGUARD_EVENTHUB__credential: 'managedidentity'
  CMKGUARD_EVENTHUB__clientId: observer.properties.clientId
} : {}, toObject(items(secretUris), s => s.key, s => '@Microsoft.KeyVault(SecretUri=${s.value})'))

resource app 'Microsoft.Web/sites@2024-11-01' = {
  name: appName
  location: location
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: union({ '${observer.id}': {} }, canWrite ? { '${remediator.id}': {} } : {})
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    keyVaultReferenceIdentity: observer.id
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storage.properties.primaryEndpoints.blob}${packageContainer}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: observer.id
          }
        }
      }
      runtime: { name: 'custom', version: '1.0' }
      scaleAndConcurrency: {
        maximumInstanceCount: 40
        instanceMemoryMB: instanceMemoryMB
        alwaysReady: alwaysReadyWork > 0 ? [{ name: 'function:work', instanceCount: alwaysReadyWork }] : []
      }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      ftpsState: 'Disabled'
      appSettings: map(items(settings), s => { name: s.key, value: s.value })
    }
  }
  dependsOn: [observerStorage, observerMetrics, hub]

  // Publishing by name and password would go around the identities.
  resource noPassword 'basicPublishingCredentialsPolicies' = [for way in ['ftp', 'scm']: {
    name: way
    properties: { allow: false }
  }]
}

module access 'access.bicep' = [for id in subscriptions: {
  name: 'cmkguard-access-${uniqueString(id)}'
  scope: subscription(id)
  params: { observerPrincipalId: observer.properties.principalId }
}]

module act 'remediate.bicep' = [for where in remediate: {
  name: 'cmkguard-act-${uniqueString(where.subscriptionId, where.resourceGroup)}'
  scope: resourceGroup(where.subscriptionId, where.resourceGroup)
  params: { remediatorPrincipalId: remediator.properties.principalId }
  dependsOn: [access] // its role is defined there
}]

module events 'vault.bicep' = [for v in connectEvents ? vaults : []: {
  name: 'cmkguard-events-${uniqueString(v.subscriptionId, v.name)}'
  scope: resourceGroup(v.subscriptionId, v.resourceGroup)
  params: {
    vaultName: v.name
    location: v.location
    deliveryIdentityId: delivery.id
    functionId: '${app.id}/functions/keyvaultevents'
    storageId: storage.id
    eventsOver: eventsOver
    // Azure Monitor refuses a hub in another region than the vault's.
    hubRuleId: takeVaultLogs && toLower(replace(v.location, ' ', '')) == region ? hubRuleId : ''
  }
  dependsOn: [deadLetterWriter, eventSender, hub]
}]

module changes 'subscription.bicep' = [for id in connectEvents ? resourceEvents : []: {
  name: 'cmkguard-changes-${uniqueString(id)}'
  scope: subscription(id)
  params: {
    groupName: '${prefix}-events'
    location: location
    deliveryIdentityId: delivery.id
    functionId: '${app.id}/functions/resourceevents'
    storageId: storage.id
    eventsOver: eventsOver
  }
  dependsOn: [deadLetterWriter, eventSender]
}]

@description('Publish the package here: func azure functionapp publish NAME.')
output appName string = app.name
output observerPrincipalId string = observer.properties.principalId
output remediatorPrincipalId string = remediator.properties.principalId
