// Lets Node run the TypeScript sources and tests as they are: strips the types
// of each .ts module when it is loaded.

import { readFile } from "node:fs/promises";
import { register } from "node:module";
import { isMainThread } from "node:worker_threads";

// Node runs the hooks in a thread of their own, which loads this file again.
if (isMainThread) register(import.meta.url);

export async function load(url, context, nextLoad) {
  if (!url.endsWith(".ts")) return nextLoad(url, context);
  const { transform } = await import("esbuild");
  const source = await readFile(new URL(url), "utf8");
  const { code } = await transform(source, { loader: "ts", target: "es2022", sourcemap: "inline" });
  return { format: "module", source: code, shortCircuit: true };
}
