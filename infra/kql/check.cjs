// Reads every KQL query that ships with Kusto's own language service: those of
// Resource Graph from stdin, as JSON [{name, text}], and the .kql files below a
// folder. Exits 1 and names each query with a mistake.
//
//   node check.cjs SERVICE-FOLDER FOLDER < queries.json
'use strict';
const fs = require('fs');
const path = require('path');

const [service, folder] = process.argv.slice(2);
require(path.resolve(service, 'bridge.js')); // both put themselves into globalThis
require(path.resolve(service, 'Kusto.Language.Bridge.js'));
const { KustoCode, GlobalState, Symbols } = globalThis.Kusto.Language;

// The tables and their columns (learn.microsoft.com governance/resource-graph/
// reference/supported-tables-resources; azure-monitor/reference/tables/azurediagnostics and
// apptraces).
const graph = 'id:string, name:string, type:string, tenantId:string, ["kind"]:string, location:string, resourceGroup:string, ' +
  'subscriptionId:string, managedBy:string, sku:dynamic, plan:dynamic, properties:dynamic, tags:dynamic, identity:dynamic, ' +
  'zones:dynamic, extendedLocation:dynamic';
const tables = {
  resources: graph, authorizationresources: graph, policyresources: graph,
  AzureDiagnostics: 'TimeGenerated:datetime, ResourceId:string, Resource:string, ResourceProvider:string, Category:string, OperationName:string, ' +
    'ResultType:string, ResultSignature:string, CorrelationId:string, CallerIPAddress:string, httpStatusCode_d:real, id_s:string, ' +
    'requestUri_s:string, identity_claim_oid_g:string, identity_claim_appid_g:string, identity_claim_upn_s:string',
  AppTraces: 'TimeGenerated:datetime, Message:string, SeverityLevel:int, ItemCount:int, Properties:dynamic, OperationId:string, ' +
    'AppRoleName:string, AppRoleInstance:string',
};
// A let statement in front of the query declares each table with its columns.
const lets = Object.entries(tables).map(([name, columns]) => `let ${name} = datatable(${columns})[];\n`).join('');

function mistakes(text) {
  const found = KustoCode.ParseAndAnalyze(lets + text, GlobalState.Default).GetDiagnostics();
  const out = [];
  for (let i = 0; i < found.Count; i++) {
    const d = found.getItem(i);
    if (d.Severity === 'Suggestion') continue;
    out.push(`${d.Message} (at ${JSON.stringify(text.slice(Math.max(0, d.Start - lets.length), d.Start - lets.length + Math.max(d.Length, 1) + 20))})`);
  }
  return out;
}

function files(dir) {
  return fs.readdirSync(dir, { withFileTypes: true }).flatMap((e) => {
    const at = path.join(dir, e.name);
    return e.isDirectory() ? files(at) : at.endsWith('.kql') ? [{ name: at, text: fs.readFileSync(at, 'utf8') }] : [];
  });
}

// A checker that finds nothing wrong in these would find nothing anywhere.
for (const wrong of ["resources | whre type == 'a'", 'resources | project id, nosuchcolumn', "resourses | project id", 'resources | extend a = tostring(properties']) {
  if (mistakes(wrong).length === 0) throw new Error('the check itself is broken: it took ' + wrong);
}
const right = "resources | where type =~ 'a' | extend a = tostring(properties.x) | project id, kind, a | order by id asc";
if (mistakes(right).length > 0) throw new Error('the check itself is broken: ' + mistakes(right));
const queries = JSON.parse(fs.readFileSync(0, 'utf8')).concat(files(folder));
if (queries.length === 0) throw new Error('no query was given');
let bad = 0;
for (const q of queries) {
  for (const m of mistakes(q.text)) {
    bad++;
    console.error(`${q.name}: ${m}`);
  }
}
console.log(`kql: ${queries.length} queries, ${bad} mistakes`);
process.exit(bad ? 1 : 0);
