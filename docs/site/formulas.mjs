// Formulas of all pages, set by KaTeX when the site is built: a page needs no script for them.
//
//     node formulas.mjs FOLDER KATEX
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const [folder, package_] = process.argv.slice(2);
const katex = createRequire(import.meta.url)(package_);
const FORMULA = /<(span|div) class="tex">([^<]*)<\/\1>/g;
const PLAIN = { "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#x27;": "'", "&amp;": "&" };
const known = new Map(); // the same formula occurs many times
const bad = [];

/** A formula as HTML and MathML. */
function set(kind, text, page) {
  const key = kind + text;
  if (!known.has(key)) {
    const tex = text.replace(/&(lt|gt|quot|#x27|amp);/g, (mark) => PLAIN[mark]);
    try {
      known.set(key, katex.renderToString(tex, { displayMode: kind === "div", strict: "ignore" }));
    } catch (error) {
      bad.push(`${page}: ${tex}: ${error.message}`);
      known.set(key, text);
    }
  }
  return `<${kind} class="math">${known.get(key)}</${kind}>`;
}

for (const name of readdirSync(folder, { recursive: true })) {
  if (!name.endsWith(".html")) continue;
  const path = `${folder}/${name}`;
  const before = readFileSync(path, "utf8");
  const after = before.replace(FORMULA, (_, kind, text) => set(kind, text, name));
  if (after !== before) writeFileSync(path, after);
}
if (bad.length) {
  console.error(bad.join("\n"));
  process.exit(1);
}
