// Derives restricted allocations from docs/allocation-bytes.md alone, in BigInt: node restricted_vectors.mjs > restricted_vectors.json
import { createHash, createHmac } from "node:crypto";

const u32 = (n) => { const b = Buffer.alloc(4); b.writeUInt32BE(n); return b; };
const join = (...parts) => Buffer.concat(parts.flatMap((p) => { const b = Buffer.from(p); return [u32(b.length), b]; }));
const sha = (b) => createHash("sha256").update(b).digest();
const abs = (n) => (n < 0n ? -n : n);
const gcd = (a, b) => (b ? gcd(b, a % b) : abs(a));
const lcm = (a, b) => (a / gcd(a, b)) * b;
const frac = (n, d = 1n) => { if (d < 0n) { n = -n; d = -d; } const g = gcd(n, d) || 1n; return [n / g, d / g]; };
const add = ([a, b], [c, d]) => frac(a * d + c * b, b * d);
const neg = ([a, b]) => [-a, b];
const mul = ([a, b], [c, d]) => frac(a * c, b * d);
const inv = ([a, b]) => frac(b, a);
const less = ([a, b], [c, d]) => a * d < c * b;
const floor = ([a, b]) => (a - (((a % b) + b) % b)) / b;
const text = ([a, b]) => (b === 1n ? `${a}` : `${a}/${b}`);
const parse = (s) => {
  if (s.includes("/")) { const [a, b] = s.split("/"); return frac(BigInt(a), BigInt(b)); }
  const [whole, rest = ""] = s.split(".");
  return frac(BigInt(whole + rest), 10n ** BigInt(rest.length));
};
const root = (n) => { if (n < 2n) return n; let x = n; for (let y = (x + 1n) / 2n; y < x; y = (x + n / x) / 2n) x = y; return x; };
const sum = (list) => list.reduce(add, [0n, 1n]);
const count = (list, s) => list.filter((x) => x === s).length;

function standardized(column, decimals) {
  const n = BigInt(column.length), mean = mul(sum(column), [1n, n]);
  const off = column.map((x) => add(x, neg(mean)));
  const variance = mul(sum(off.map((x) => mul(x, x))), [1n, n - 1n]);
  return off.map((x) => {
    const q = mul(mul([10n ** BigInt(2 * decimals), 1n], mul(x, x)), inv(variance));
    const size = (root(floor(mul([4n, 1n], q))) + 1n) / 2n;
    return x[0] < 0n ? -size : size;
  });
}

function countsAt(n, shares, u) {
  let before = [0n, 1n];
  return shares.map((share) => {
    const expected = mul([BigInt(n), 1n], share), whole = floor(expected);
    const after = add(before, add(expected, [-whole, 1n]));
    let extra = 0;
    for (let k = 0n; k <= BigInt(shares.length); k++) {
      const point = add(u, [k, 1n]);
      if (!less(point, before) && less(point, after)) extra++;
    }
    before = after;
    return Number(whole) + extra;
  });
}

function orders(counts) {
  if (counts.every((c) => c === 0)) return [[]];
  return counts.flatMap((c, s) => (c ? orders(counts.map((d, r) => d - (r === s))).map((rest) => [s, ...rest]) : []));
}

function rowsOfBlock(n, shares) {
  let reached = [0n, 1n];
  const edges = [[0n, 1n]];
  for (const share of shares) {
    reached = add(reached, mul([BigInt(n), 1n], share));
    edges.push(add(reached, [-floor(reached), 1n]));
  }
  edges.sort((a, b) => (less(a, b) ? -1 : less(b, a) ? 1 : 0)).push([1n, 1n]);
  const weights = new Map();
  for (let i = 0; i + 1 < edges.length; i++) {
    const width = add(edges[i + 1], neg(edges[i]));
    if (width[0] === 0n) continue;
    const key = JSON.stringify(countsAt(n, shares, edges[i]));
    weights.set(key, add(weights.get(key) ?? [0n, 1n], width));
  }
  const kinds = [...weights].map(([key, w]) => { const all = orders(JSON.parse(key)); return [all, mul(w, [1n, BigInt(all.length)])]; });
  const scale = kinds.reduce((l, [, p]) => lcm(l, p[1]), 1n);
  const times = kinds.map(([, p]) => (p[0] * scale) / p[1]);
  const common = times.reduce(gcd, 0n);
  return kinds.flatMap(([all], i) => all.flatMap((row) => Array(Number(times[i] / common)).fill(row)));
}

const compare = (a, b) => { for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i] - b[i]; return 0; };

function derive(given) {
  const designHash = sha(given.design).toString("hex");
  const hmac = (draw, c) => createHmac("sha256", given.seed).update(join("rct/1", designHash, draw, String(c), "")).digest();
  const units = [...given.units].sort((a, b) => Buffer.compare(Buffer.from(a.id), Buffer.from(b.id)));
  const blocks = [...new Set(units.map((u) => u.block))].sort().map((name) => ({
    places: units.flatMap((u, i) => (u.block === name ? [i] : [])),
    shares: given.shares[name].map(parse),
  }));
  const a = given.weights.map((_, k) => standardized(units.map((u) => parse(u.values[k])), given.decimals));

  const perBlock = blocks.map((b) => rowsOfBlock(b.places.length, b.shares));
  const space = perBlock.reduce((n, rows) => n * rows.length, 1);
  let rows = [];
  const whole = !given.candidates || space <= given.candidates;
  if (whole) {
    rows = [Array(units.length).fill(0)];
    blocks.forEach((b, i) => {
      rows = rows.flatMap((row) => perBlock[i].map((own) => { const next = [...row]; b.places.forEach((p, j) => (next[p] = own[j])); return next; }));
    });
    rows.sort(compare);
  } else {
    for (let c = 0; c < given.candidates; c++) {
      const h = hmac("candidate", c), words = [], row = [];
      for (let i = 0; words.length < units.length + blocks.length; i++) {
        const part = sha(Buffer.concat([h, u32(i)]));
        for (let j = 0; j < 32; j += 8) words.push(part.readBigUInt64BE(j));
      }
      let at = 0;
      for (const b of blocks) {
        const counts = countsAt(b.places.length, b.shares, frac(words[at++], 2n ** 64n));
        const own = b.places.map((p) => [words[at++], p]).sort((x, y) => (x[0] < y[0] ? -1 : x[0] > y[0] ? 1 : x[1] - y[1]));
        own.forEach(([, p], i) => { let s = 0; for (let left = i; left >= counts[s]; s++) left -= counts[s]; row[p] = s; });
      }
      rows.push(row);
    }
  }

  const chance = blocks.map((b) => given.groups.map((g) => sum(g.map((s) => b.shares[s]))));
  const L = chance.flat().reduce((l, p) => lcm(l, p[1]), 1n);
  const imbalance = (row, g) => a.map((column) => blocks.reduce((total, b, i) => total + b.places.reduce((t, p) =>
    t + (given.groups[g].includes(row[p]) ? L : 0n) * column[p] - ((L * chance[i][g][0]) / chance[i][g][1]) * column[p], 0n), 0n));
  let score;
  if (given.scheme === "constrained") {
    const unit = L * 10n ** BigInt(given.decimals);
    score = (row) => {
      const terms = given.groups.flatMap((_, g) => imbalance(row, g).map((t, k) => BigInt(given.weights[k]) * t));
      return given.metric === "l2" ? frac(terms.reduce((s, t) => s + t * t, 0n), unit * unit) : frac(terms.reduce((s, t) => s + abs(t), 0n), unit);
    };
  } else {
    // By Cramer's rule on V, which is made from the enumerated orders of each block rather than from a formula.
    const stacked = given.groups.slice(0, Math.max(1, given.groups.length - 1));
    const cells = stacked.flatMap((_, g) => a.map((__, k) => [g, k]));
    const V = cells.map(() => cells.map(() => [0n, 1n]));
    blocks.forEach((b, i) => {
      const size = BigInt(perBlock[i].length);
      const own = perBlock[i].map((row) => cells.map(([g, k]) => b.places.reduce((t, p, j) =>
        add(t, mul([L * a[k][p], 1n], add([stacked[g].includes(row[j]) ? 1n : 0n, 1n], neg(chance[i][g])))), [0n, 1n])));
      for (const t of own) cells.forEach((_, k) => cells.forEach((__, l) => (V[k][l] = add(V[k][l], mul(mul(t[k], t[l]), [1n, size])))));
    });
    const det = (m) => m.length === 0 ? [1n, 1n] : sum(m[0].map((x, j) => mul(j % 2 ? neg(x) : x, det(m.slice(1).map((r) => r.filter((_, c) => c !== j))))));
    const d = inv(det(V));
    const inverse = V.map((_, k) => V.map((__, l) => mul(d, mul([(k + l) % 2 ? -1n : 1n, 1n], det(V.filter((_, r) => r !== l).map((r) => r.filter((_, c) => c !== k)))))));
    score = (row) => { const t = stacked.flatMap((_, g) => imbalance(row, g)); return sum(t.flatMap((x, k) => t.map((y, l) => mul([x * y, 1n], inverse[k][l])))); };
  }
  const scores = rows.map(score);
  let limit;
  if (given.scheme === "constrained") {
    const sorted = [...scores].sort((x, y) => (less(x, y) ? -1 : less(y, x) ? 1 : 0));
    let q = given.keep;
    if (typeof q === "string") {
      const exact = mul(parse(q), [BigInt(rows.length), 1n]), low = floor(exact), twice = 2n * (exact[0] - low * exact[1]);
      q = Math.max(1, Number(twice > exact[1] || (twice === exact[1] && low % 2n) ? low + 1n : low));
    }
    limit = sorted[q - 1];
  } else limit = parse(given.threshold);
  const accepted = scores.flatMap((s, c) => (less(limit, s) ? [] : [c]));
  const chosen = accepted.reduce((best, c) => (best === null || Buffer.compare(hmac("choose", c), hmac("choose", best)) < 0 ? c : best), null);
  return {
    candidates: rows.length, whole_space: whole, accepted: accepted.length, limit: text(limit), chosen, score: text(scores[chosen]),
    values: units.map((_, i) => a.map((column) => Number(column[i]))),
    sequence: Object.fromEntries(units.map((u, i) => [u.id, rows[chosen][i]])),
  };
}

const squads = [["24", "11.5"], ["31", "9.2"], ["18", "14.1"], ["27", "8.7"], ["35", "12.3"], ["22", "10.0"], ["29", "15.6"], ["16", "7.9"], ["33", "-0.5"], ["20", "11.11"], ["26", "9.9"], ["30", "13"]];
const named = (n, block = () => "") => squads.slice(0, n).map((values, i) => ({ id: `squad ${n - i}`, block: block(i), values }));
const half = ["1/2", "1/2"];
const base = { seed: "07 19 22 35 41", decimals: 4, weights: [1, 1], groups: [[1]], metric: "l2", scheme: "constrained" };
const cases = [
  { ...base, name: "eight squads, all allocations, l2", units: named(8), shares: { "": half }, keep: "0.1" },
  { ...base, name: "wedge of five, l1, weights", units: named(5), shares: { "": Array(5).fill("1/5") }, groups: [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3]], metric: "l1", weights: [1, 3], keep: 10, decimals: 2 },
  { ...base, name: "left-over places, rows repeated", units: named(4), shares: { "": ["2/3", "1/3"] }, keep: "1/2" },
  { ...base, name: "two blocks, keyed candidates", units: named(9, (i) => (i < 5 ? "north" : "south")), shares: { north: half, south: ["1/4", "3/4"] }, candidates: 40, keep: "0.25" },
  { ...base, name: "Mahalanobis, all allocations", scheme: "rerandomized", units: named(8), shares: { "": half }, threshold: "0.4463" },
  { ...base, name: "Mahalanobis, keyed candidates", scheme: "rerandomized", units: named(12), shares: { "": ["2/3", "1/3"] }, candidates: 300, threshold: "0.5" },
  { ...base, name: "Mahalanobis of three arms, blocks and left-over places", scheme: "rerandomized", units: named(7, (i) => (i < 3 ? "north" : "south")), shares: { north: Array(3).fill("1/3"), south: Array(3).fill("1/3") }, groups: [[1], [2], [0]], threshold: "2.5" },
  { ...base, name: "Mahalanobis of three arms, keyed candidates", scheme: "rerandomized", units: named(10), shares: { "": ["1/2", "1/4", "1/4"] }, groups: [[1], [2], [0]], candidates: 200, threshold: "2" },
].map((c) => ({ ...c, design: JSON.stringify({ case: c.name }) }));
console.log(JSON.stringify({ tool: "restricted_vectors.mjs, Node.js (BigInt)", cases: cases.map((c) => ({ ...c, found: derive(c) })) }, null, 1));
