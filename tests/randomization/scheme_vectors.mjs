// Derive simple, factorial, matched and capped allocations from docs/allocation-bytes.md alone.
// Run: node scheme_vectors.mjs < inputs.json > scheme_vectors.json
import { createHash, createHmac } from "node:crypto";
import { readFileSync } from "node:fs";

const bytes = (x) => (Buffer.isBuffer(x) ? x : Buffer.from(x, "utf8"));
const field = (x) => {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes(x).length);
  return Buffer.concat([length, bytes(x)]);
};
const join = (...parts) => Buffer.concat(parts.map(field));
const keyed = (c, draw, block, item) => {
  const hash = createHash("sha256").update(c.design).digest("hex");
  return createHmac("sha256", c.seed).update(join("rct/1", hash, draw, join(...block), item)).digest();
};
const number = (digest) => digest.readBigUInt64BE(0);
const order = (pairs) => pairs.sort((a, b) => Buffer.compare(a[0], b[0]) || Buffer.compare(bytes(a[1]), bytes(b[1])));
const cut = (ordered, counts) => {
  const places = counts.flatMap((n, s) => Array(n).fill(s));
  return Object.fromEntries(ordered.map((unit, i) => [unit, places[i]]));
};
const byScore = (c, block, ids) => order(ids.map((id) => [keyed(c, "assign", block, id), id])).map((p) => p[1]);

const schemes = {
  simple(c, block, units) {
    const edges = [];
    let sum = 0n; // shares as [numerator, denominator] of one common denominator
    for (const [p] of c.shares) edges.push((sum += BigInt(p)));
    const whole = BigInt(c.shares[0][1]);
    return Object.fromEntries(units.map(({ id }) => {
      const u = number(keyed(c, "assign", block, id));
      return [id, edges.filter((edge) => edge * 2n ** 64n <= u * whole).length];
    }));
  },
  factorial(c, block, units) {
    const cells = c.cells, n = units.length;
    const lucky = order([...Array(cells).keys()].map((x) => [keyed(c, "cells", block, String(x)), String(x)]))
      .slice(0, n % cells).map((p) => Number(p[1]));
    const counts = [...Array(cells).keys()].map((x) => Math.floor(n / cells) + lucky.includes(x));
    return cut(byScore(c, block, units.map((u) => u.id)), counts);
  },
  pairs(c, block, units) {
    const u = number(keyed(c, "places", block, ""));
    const counts = units.length % 2 === 0 ? [units.length / 2, units.length / 2]
      : [(units.length - 1) / 2 + (u < 2n ** 63n), (units.length - 1) / 2 + (u >= 2n ** 63n)];
    return cut(byScore(c, block, units.map((x) => x.id)), counts);
  },
  capped(c, block, units) {
    const n = units.length;
    const circle = c.sizes.flatMap((size, s) => [...Array(size).keys()].map((j) => [(2 * j + 1) / (2 * size), s]))
      .sort((a, b) => a[0] - b[0] || a[1] - b[1]).map((p) => p[1]);
    const squads = [...new Set(units.map((u) => u.squad))];
    const laid = order(squads.map((s) => [keyed(c, "groups", block, s), s]))
      .flatMap(([, s]) => byScore(c, block, units.filter((u) => u.squad === s).map((u) => u.id)));
    const turn = Number((number(keyed(c, "places", block, "")) * BigInt(n)) >> 64n);
    return Object.fromEntries(laid.map((id, i) => [id, circle[(i + turn) % n]]));
  },
};

const cases = JSON.parse(readFileSync(0, "utf8"));
for (const c of cases) {
  const blocks = new Map();
  for (const unit of c.units) {
    const name = JSON.stringify(unit.block);
    blocks.set(name, [...(blocks.get(name) ?? []), unit]);
  }
  c.sequence = {};
  for (const [name, units] of blocks) Object.assign(c.sequence, schemes[c.scheme](c, JSON.parse(name), units));
}
process.stdout.write("[\n" + cases.map((c) => JSON.stringify(c)).join(",\n") + "\n]\n");
