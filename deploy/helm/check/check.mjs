// Checks documents of kinds that the schemas of Kubernetes do not have. Reads a JSON array of them from standard input,
// writes each fault to standard output, and ends with status 1 if there is one. A document of any other kind is a fault.
//
// The packages have both a validator and types. The validator finds wrong values and missing fields; it lets pass fields that
// do not exist, which TypeScript finds in a literal of the type.
import { readFileSync, writeFileSync, rmSync } from 'node:fs';
import ts from 'typescript';

const PACKAGES = {
  'gateway.networking.k8s.io': '@kubernetes-models/gateway-api',
  'keda.sh': '@kubernetes-models/keda',
  'monitoring.coreos.com': '@kubernetes-models/prometheus-operator',
};

const documents = JSON.parse(readFileSync(0, 'utf8'));
const faults = [];
const source = [];
for (const [index, document] of documents.entries()) {
  const { apiVersion, kind, metadata } = document;
  const name = `${kind} ${metadata?.name}`;
  const path = `${PACKAGES[apiVersion?.split('/')[0]]}/${apiVersion}/${kind}`;
  let model;
  try {
    model = (await import(path))[kind];
  } catch (error) {
    faults.push(`${name}: there is no schema of ${apiVersion}: ${error.message}`);
    continue;
  }
  try {
    new model(document).validate();
  } catch (error) {
    faults.push(`${name}: ${error.message}`);
  }
  source.push(`import type { I${kind} as I${index} } from '${path}';`);
  source.push(`export const document${index}: I${index} = ${JSON.stringify(document)};`);
}

// Beside the packages, so that they are found.
const file = new URL(`documents-${process.pid}.ts`, import.meta.url).pathname;
writeFileSync(file, source.join('\n'));
try {
  const options = {
    noEmit: true,
    strict: true,
    skipLibCheck: true,
    types: [],
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
  };
  for (const diagnostic of ts.getPreEmitDiagnostics(ts.createProgram([file], options))) {
    faults.push(ts.flattenDiagnosticMessageText(diagnostic.messageText, '\n'));
  }
} finally {
  rmSync(file);
}
for (const fault of faults) console.log(fault);
process.exitCode = faults.length === 0 ? 0 : 1;
