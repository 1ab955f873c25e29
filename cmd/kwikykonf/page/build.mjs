// Builds the page into dist/, the folder that the Go program embeds; with --tests the unit tests into build/.
// The same sources and the same lock file give the same bytes, which page_test.go checks.
import { build } from "esbuild";
import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";

const common = { bundle: true, target: "es2022", charset: "utf8", logLevel: "warning" };

if (process.argv.includes("--tests")) {
  await rm("build", { recursive: true, force: true });
  const tests = (await readdir("test")).filter((f) => f.endsWith(".test.ts"));
  await build({ ...common, entryPoints: tests.map((f) => `test/${f}`), outdir: "build", platform: "node", format: "esm" });
} else {
  await rm("dist", { recursive: true, force: true });
  await mkdir("dist");
  await build({
    ...common,
    entryPoints: { app: "src/main.ts", style: "src/style.css" },
    outdir: "dist",
    platform: "browser",
    format: "esm",
    minify: true,
    legalComments: "none", // the licence stands whole in licenses.txt
    banner: { js: "// KwikyKonf, built from src/ by build.mjs. It contains SIP.js; see licenses.txt." },
  });
  for (const file of ["index.html", "icon.svg"]) await cp(`src/${file}`, `dist/${file}`);
  const { version } = JSON.parse(await readFile("node_modules/sip.js/package.json", "utf8"));
  const licence = await readFile("node_modules/sip.js/LICENSE.md", "utf8");
  await writeFile("dist/licenses.txt", `This page contains SIP.js ${version}, under this licence:\n\n${licence}`);
}
