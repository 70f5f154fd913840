// Derives ledgers from docs/allocation-bytes.md alone, in BigInt: node sequential_vectors.mjs > sequential_vectors.json
import { createHash, createHmac } from "node:crypto";

const u32 = (n) => { const b = Buffer.alloc(4); b.writeUInt32BE(n); return b; };
const join = (...parts) => Buffer.concat(parts.flatMap((p) => { const b = Buffer.from(p); return [u32(b.length), b]; }));
const sha = (b) => createHash("sha256").update(b).digest("hex");
const gcd = (a, b) => (b ? gcd(b, a % b) : a);
const frac = (n, d = 1n) => { const g = gcd(n < 0n ? -n : n, d) || 1n; return [n / g, d / g]; };
const add = ([a, b], [c, d]) => frac(a * d + c * b, b * d);
const minus = ([a, b], [c, d]) => frac(a * d - c * b, b * d);
const times = ([a, b], [c, d]) => frac(a * c, b * d);
const less = ([a, b], [c, d]) => a * d < c * b;
const parse = (s) => { const [a, b = "1"] = s.split("/"); return frac(BigInt(a), BigInt(b)); };
const sum = (list) => list.reduce(add, [0n, 1n]);
const over = ([a, b], n) => frac(a, b * BigInt(n));
const root = (n) => { if (n < 2n) return n; let x = n; for (let y = (x + 1n) / 2n; y < x; y = (x + n / x) / 2n) x = y; return x; };
const half = [1n, 2n];

function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  return `{${Object.keys(value).sort().map((k) => `${JSON.stringify(k)}:${canonical(value[k])}`).join(",")}}`;
}

function spread(counts, kind) {
  if (kind === "range") {
    const sorted = [...counts].sort((x, y) => (less(x, y) ? -1 : 1));
    return minus(sorted.at(-1), sorted[0]);
  }
  const mean = over(sum(counts), counts.length);
  const variance = over(sum(counts.map((c) => { const d = minus(c, mean); return times(d, d); })), counts.length - 1);
  if (kind === "variance") return variance;
  return frac((root((4n * 10n ** 60n * variance[0]) / variance[1]) + 1n) / 2n, 10n ** 30n);
}

function next(design, history, levels, sizeOf) {
  const { rule, arms } = design, ratio = design.ratio.length ? design.ratio : arms.map(() => 1);
  const counts = arms.map((arm) => BigInt(history.filter((h) => h.arm === arm).length));
  if (rule.kind === "permuted-blocks") {
    let start = 0, block = 0;
    while (start + sizeOf(block) <= history.length) start += sizeOf(block++);
    const inBlock = history.slice(start), whole = ratio.reduce((x, y) => x + y);
    const left = arms.map((arm, i) => (sizeOf(block) / whole) * ratio[i] - inBlock.filter((h) => h.arm === arm).length);
    return left.map((n) => frac(BigInt(n), BigInt(left.reduce((x, y) => x + y))));
  }
  if (rule.kind === "minimisation") {
    const scores = arms.map((joined) => sum(rule.factors.map((f, i) => times(
      rule.weights.length ? parse(rule.weights[i]) : [1n, 1n],
      spread(arms.map((arm, j) => frac(BigInt(history.filter((h) => h.arm === arm && h.levels[f] === levels[f]).length + (arm === joined)), BigInt(ratio[j]))), rule.imbalance),
    ))));
    const best = scores.map((s) => !scores.some((t) => less(t, s))), ties = best.filter(Boolean).length;
    const p = ties === arms.length ? [1n, 1n] : parse(rule.p);
    return best.map((good) => (good ? over(p, ties) : over(minus([1n, 1n], p), arms.length - ties)));
  }
  const lead = counts[0] - counts[1];
  let first = half;
  if (rule.kind === "biased-coin" && lead) first = lead > 0n ? minus([1n, 1n], parse(rule.p)) : parse(rule.p);
  if (rule.kind === "big-stick" && (lead < 0n ? -lead : lead) >= BigInt(rule.lead)) first = lead > 0n ? [0n, 1n] : [1n, 1n];
  if (rule.kind === "urn") {
    const balls = 2n * BigInt(rule.alpha) + BigInt(rule.beta) * (counts[0] + counts[1]);
    if (balls) first = frac(BigInt(rule.alpha) + BigInt(rule.beta) * counts[1], balls);
  }
  return [first, minus([1n, 1n], first)];
}

function ledger(design, seed, arrivals) {
  const text = canonical(design), designHash = sha(text), entries = [];
  const U = (draw, stratum, number) => BigInt(`0x${createHmac("sha256", seed).update(join("rct/1", designHash, draw, stratum, `${number}`)).digest("hex").slice(0, 16)}`);
  const append = (content) => {
    const json = canonical({ ...content, number: entries.length });
    entries.push([json, sha(join("rct/1", "entry", entries.at(-1)?.[1] ?? "", json))]);
  };
  append({ kind: "open", format: 1, design: text, seed_commitment: sha(join("rct/1", "ledger-seed", seed)), at: "day 0" });
  const enrolled = [];
  for (const [unit, levels] of arrivals) {
    const stratum = join(...design.strata.map((name) => levels[name]));
    const history = enrolled.filter((h) => design.strata.every((name) => h.levels[name] === levels[name]));
    const sizeOf = (block) => design.rule.sizes[Number((U("size", stratum, block) * BigInt(design.rule.sizes.length)) >> 64n)];
    const u = frac(U("enrol", stratum, entries.length), 2n ** 64n);
    let reached = [0n, 1n], arm;
    next(design, history, levels, sizeOf).forEach((p, i) => { reached = add(reached, p); arm ??= less(u, reached) ? design.arms[i] : undefined; });
    enrolled.push({ arm, levels });
    append({ kind: "enrol", unit, levels, arm, at: `day ${entries.length}` });
  }
  append({ kind: "close", seed, at: "the end" });
  return { design, seed, arrivals, entries };
}

const people = Array.from({ length: 24 }, (_, i) => [`${i + 1}`.padStart(4, "0"), ["north", "Süd"][(i * i) % 3 % 2], ["officer", "sergeant"][i % 5 === 0 ? 1 : 0]]);
const plain = people.map(([unit]) => [unit, {}]);
const districts = people.map(([unit, district]) => [unit, { district }]);
const both = people.map(([unit, district, rank]) => [unit, { district, rank }]);
const two = ["usual", "ICAT"], three = ["usual", "ICAT", "ICAT + refresher"];
const minimise = (more) => ({ kind: "minimisation", factors: ["district", "rank"], weights: [], imbalance: "range", p: "4/5", ...more });
const design = (arms, rule, more = {}) => ({ arms, ratio: [], strata: [], rule, ...more });
const seed = (digit) => digit.repeat(64);
console.log(JSON.stringify({
  "permuted blocks of hidden sizes by district": ledger(design(two, { kind: "permuted-blocks", sizes: [2, 4, 6] }, { strata: ["district"] }), seed("a"), districts),
  "permuted blocks 2:1:1": ledger(design(three, { kind: "permuted-blocks", sizes: [4, 8] }, { ratio: [2, 1, 1] }), seed("1"), plain),
  "biased coin": ledger(design(two, { kind: "biased-coin", p: "2/3" }), seed("2"), plain),
  "biased coin by two strata": ledger(design(two, { kind: "biased-coin", p: "3/4" }, { strata: ["rank", "district"] }), seed("b"), both),
  "urn": ledger(design(two, { kind: "urn", alpha: 0, beta: 1 }), seed("3"), plain),
  "big stick": ledger(design(two, { kind: "big-stick", lead: 2 }), seed("4"), plain),
  "minimisation, range": ledger(design(two, minimise()), seed("5"), both),
  "minimisation, variance, 2:2:1": ledger(design(three, minimise({ imbalance: "variance", weights: ["2", "1/2"], p: "9/10" }), { ratio: [2, 2, 1] }), seed("6"), both),
  "minimisation, sd": ledger(design(three, minimise({ imbalance: "sd", p: "7/10" })), seed("7"), both),
}, null, 1));
