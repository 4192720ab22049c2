// Builds client/dist from client/src and client/demo: the library, its types,
// the demo page, nothing else. The same sources give the same bytes, and each output
// names the hash of the sources, so that a stale dist is noticed.
//
//   node build.mjs            writes dist
//   node build.mjs --fresh    builds elsewhere and compares with dist

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";

const CLIENT = fileURLToPath(new URL(".", import.meta.url));
const DIST = join(CLIENT, "dist");

/** The style sheets of demo/, which become one, in this order: a later one outdoes an earlier. */
const STYLES = ["base.css", "top.css", "rooms.css", "messages.css", "speaking.css", "narrow.css"];

/** SHA-256 over path, NUL, bytes, NUL of each source file, in bytewise order of the paths. */
async function sourcesHash() {
  const files = [];
  for (const folder of ["src", "demo"]) {
    for (const entry of await readdir(join(CLIENT, folder), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const path = relative(CLIENT, join(entry.parentPath ?? entry.path, entry.name)).split(sep).join("/");
      if (folder === "demo" || path.endsWith(".ts")) files.push(path);
    }
  }
  files.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const hash = createHash("sha256");
  for (const path of files) {
    hash.update(path).update("\0");
    hash.update(await readFile(join(CLIENT, path))).update("\0");
  }
  return hash.digest("hex");
}

/** The page loads the library as a file of its own, as any other page would. */
const libraryApart = {
  name: "library-apart",
  setup({ onResolve }) {
    onResolve({ filter: /\/src\/index\.ts$/ }, () => ({ path: "./chatup.js", external: true }));
  },
};

async function script(entry, outfile, banner, plugins) {
  await build({
    absWorkingDir: CLIENT,
    entryPoints: [entry],
    outfile,
    bundle: true,
    format: "esm",
    target: "es2022",
    charset: "utf8",
    legalComments: "none",
    banner: { js: `// ${banner}` },
    plugins,
    logLevel: "warning",
  });
}

async function style() {
  const there = (await readdir(join(CLIENT, "demo"))).filter((name) => name.endsWith(".css"));
  if (there.sort().join() !== [...STYLES].sort().join()) throw new Error("STYLES must name every style sheet of demo/");
  const parts = await Promise.all(STYLES.map((name) => readFile(join(CLIENT, "demo", name), "utf8")));
  return parts.join("\n");
}

/** Declarations of src/, a file each; they name each other as whoever uses them would. */
async function types(folder, banner) {
  const tsc = fileURLToPath(new URL("../bin/tsc", import.meta.resolve("typescript")));
  await promisify(execFile)(process.execPath, [tsc, "-p", join(CLIENT, "tsconfig.types.json"), "--outDir", folder]);
  for (const name of await readdir(folder)) {
    const text = await readFile(join(folder, name), "utf8");
    await writeFile(join(folder, name), `// ${banner}\n${text.replace(/(from "\.\/[\w-]+)\.ts"/g, '$1.js"')}`);
  }
}

async function buildInto(folder) {
  const banner = `built from client/src and client/demo, sources sha256:${await sourcesHash()}`;
  await mkdir(folder, { recursive: true });
  await script("src/index.ts", join(folder, "chatup.js"), banner, []);
  await script("demo/demo.ts", join(folder, "demo.js"), banner, [libraryApart]);
  await types(join(folder, "types"), banner);
  await writeFile(join(folder, "demo.css"), `/* ${banner} */\n${await style()}`);
  const html = await readFile(join(CLIENT, "demo/index.html"), "utf8");
  const doctype = "<!doctype html>\n";
  if (!html.startsWith(doctype)) throw new Error("demo/index.html must begin with <!doctype html>");
  await writeFile(join(folder, "index.html"), `${doctype}<!-- ${banner} -->\n${html.slice(doctype.length)}`);
}

/** The paths of the files below a folder. */
async function filesBelow(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = entries.filter((entry) => entry.isFile());
  return files.map((entry) => relative(folder, join(entry.parentPath ?? entry.path, entry.name)));
}

/** The paths of the files that differ. */
async function differences(one, other) {
  const names = new Set([...(await filesBelow(one)), ...(await filesBelow(other))]);
  const differ = [];
  for (const name of [...names].sort()) {
    const [a, b] = await Promise.all(
      [one, other].map((folder) => readFile(join(folder, name)).catch(() => null)),
    );
    if (a === null || b === null || !a.equals(b)) differ.push(name);
  }
  return differ;
}

if (process.argv.includes("--fresh")) {
  const folder = await mkdtemp(join(tmpdir(), "chatup-client-"));
  try {
    await buildInto(folder);
    const differ = await differences(folder, DIST);
    if (differ.length > 0) {
      console.error(`client/dist is stale (${differ.join(", ")}): run npm run build`);
      process.exitCode = 1;
    } else {
      console.log("client/dist is fresh");
    }
  } finally {
    await rm(folder, { recursive: true });
  }
} else {
  await rm(DIST, { recursive: true, force: true });
  await buildInto(DIST);
}
