// Every public member of an SDK has a documentation comment: lists those without, and fails then.
// Usage: node documented.mjs FOLDER ENTRY
import { resolve } from 'node:path';
import process from 'node:process';
import ts from 'typescript';

const folder = resolve(process.argv[2] ?? '.');
const entry = resolve(folder, process.argv[3] ?? 'src/index.ts');
const config = ts.getParsedCommandLineOfConfigFile(
  resolve(folder, 'tsconfig.json'),
  {},
  { ...ts.sys, onUnRecoverableConfigFileDiagnostic: () => process.exit(2) },
);
const program = ts.createProgram(config.fileNames, config.options);
const checker = program.getTypeChecker();
const seen = new Set();
const missing = [];

const isOurs = (node) => {
  const { fileName } = node.getSourceFile();
  return fileName.startsWith(folder) && !fileName.includes('node_modules');
};
const isInternal = (symbol) => symbol.getJsDocTags(checker).some(({ name }) => name === 'internal');
const isHidden = (node) =>
  Boolean(
    ts.getCombinedModifierFlags(node) & (ts.ModifierFlags.Private | ts.ModifierFlags.Protected),
  );

/** A name, and the members of what it names. */
function visit(given, path) {
  const symbol = given.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(given) : given;
  const [declaration] = symbol.declarations ?? [];
  if (!declaration || seen.has(symbol) || !isOurs(declaration) || isInternal(symbol)) return;
  seen.add(symbol);
  if (ts.isSourceFile(declaration)) return;
  const comment = ts.displayPartsToString(symbol.getDocumentationComment(checker)).trim();
  const { fileName } = declaration.getSourceFile();
  const { line } = declaration
    .getSourceFile()
    .getLineAndCharacterOfPosition(declaration.getStart());
  if (comment === '') missing.push(`${fileName.slice(folder.length + 1)}:${line + 1} ${path}`);
  membersOf(declaration).forEach((member) => visit(member.symbol, `${path}.${member.symbol.name}`));
  basesOf(declaration).forEach((base) => visit(base, base.name));
}

function membersOf(node) {
  const list =
    ts.isClassDeclaration(node) || ts.isInterfaceDeclaration(node)
      ? node.members
      : ts.isTypeAliasDeclaration(node) && ts.isTypeLiteralNode(node.type)
        ? node.type.members
        : [];
  return list.filter(
    (member) =>
      member.symbol &&
      member.name &&
      !isHidden(member) &&
      !ts.isConstructorDeclaration(member) &&
      !ts.isIndexSignatureDeclaration(member),
  );
}

/** Base classes and interfaces: their members are the name's own, too. */
function basesOf(node) {
  return (node.heritageClauses ?? []).flatMap(({ types }) =>
    types
      .flatMap(({ expression }) => checker.getSymbolAtLocation(expression) ?? [])
      .map((symbol) =>
        symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol,
      ),
  );
}

const module = checker.getSymbolAtLocation(program.getSourceFile(entry));
for (const symbol of checker.getExportsOfModule(module)) visit(symbol, symbol.name);
if (seen.size < 20) missing.push(`${entry}: only ${seen.size} public names found`);
for (const line of missing) process.stderr.write(`${line} has no documentation comment\n`);
process.exit(missing.length === 0 ? 0 : 1);
