"""Exact probabilities, numbers and matrices of the classical schemes, as randomizr and others give them.

The values in ``scheme_references.json`` come from R randomizr 1.0.0, R nbpMatching and exact fractions, as
each item says.
"""

import json
from collections import Counter
from fractions import Fraction
from functools import partial
from itertools import combinations, product
from math import comb, prod
from pathlib import Path

import numpy as np
import pytest

from rct.randomization.factorial_cells import factorial_counts
from rct.randomization.independent_order import independent_counts
from rct.randomization.matched_groups import mahalanobis, optimal_pairs
from rct.randomization.random_draws import count_law, space_size

ITEMS = json.loads((Path(__file__).parent / "scheme_references.json").read_text(encoding="utf-8"))["items"]
MATCHED = [item for item in ITEMS if item["id"].startswith("matched-pairs")]
DRAWN = [item for item in ITEMS if not item["id"].startswith("matched-pairs")]


def stated(item):
    """Give the reference value as fractions where it is exact."""

    def read(value):
        return [read(each) for each in value] if isinstance(value, list) else Fraction(value)

    return read(item.get("exact", item["value"]))


def sized(sizes):
    return sum(sizes), tuple(Fraction(size, sum(sizes)) for size in sizes), count_law


def blocks_of(item):
    """Give units, shares and the law of the counts of each block of an item."""
    given = item["inputs"]
    law = independent_counts if item["id"].startswith("simple") else count_law
    if "factorial" in item["id"]:
        return [(given["n"], (Fraction(1, 4),) * 4, factorial_counts)]
    declared = declared_sizes(given)
    if declared:
        return [sized(sizes) for sizes in declared]
    arms = len(given["arms"])
    per_block = given.get("blocks") or given.get("block_sizes")
    sizes = [len(each) if isinstance(each, list) else each for each in per_block or ()]
    sizes = sizes or [given.get("n") or len(given["cluster_sizes"])]
    shares = given.get("block_prob_each") or [[1 - Fraction(p), p] for p in given.get("block_prob", ())]
    if given.get("prob_each"):
        shares = [given["prob_each"]]
    elif given.get("prob"):
        shares = [[1 - Fraction(given["prob"]), given["prob"]]]
    shares = shares or [[Fraction(1, arms)] * arms] * len(sizes)
    return [(n, tuple(map(Fraction, each)), law) for n, each in zip(sizes, shares, strict=True)]


def declared_sizes(given):
    """Give the sizes of the arms or sequences of each block, where an item declares them."""
    n = given.get("n") or len(given.get("cluster_sizes", ()))
    for key in ("clusters_per_step", "class_sizes_by_batch", "class_sizes_by_stratum"):
        if key in given:
            never = [given["never_trained"]] if given.get("never_trained") else []
            return given[key] if isinstance(given[key][0], list) else [[*given[key], *never]]
    if "block_m" in given:
        return [[n - m, m] for n, m in zip(given["block_sizes"], given["block_m"], strict=True)]
    if given.get("m"):
        return [[n - given["m"], given["m"]]]
    return [given["m_each"]] if given.get("m_each") else given.get("block_m_each", [])


def probabilities(block):
    n, shares, law = block
    return [sum(weight * counts[arm] for counts, weight in law(n, shares)) / n for arm in range(len(shares))]


def joint(block):
    n, shares, law = block
    arms = range(len(shares))
    return [
        [sum(w * Fraction(c[a] * (c[b] - (a == b)), n * (n - 1)) for c, w in law(n, shares)) for b in arms]
        for a in arms
    ]


def totals(blocks):
    """Give the law of the counts over all blocks."""
    law = {(0,) * len(blocks[0][1]): Fraction(1)}
    for n, shares, counts_of in blocks:
        law, before = Counter(), law
        for (old, p), (new, q) in product(before.items(), counts_of(n, shares)):
            law[tuple(a + b for a, b in zip(old, new, strict=True))] += p * q
    return law


def treated_units(blocks, sizes):
    """Give the law of the number of measured units in treated clusters."""
    law = Counter({0: Fraction(1)})
    for (n, shares, counts_of), own in zip(blocks, sizes, strict=True):
        law, before = Counter(), law
        for (_, treated), weight in counts_of(n, shares):
            for chosen in combinations(own, treated):
                for total, p in before.items():
                    law[total + sum(chosen)] += p * weight / comb(n, treated)
    return [[total, p] for total, p in sorted(law.items())]


def same(block):
    matrix = joint(block)
    return sum(matrix[a][a] for a in range(len(matrix)))


def same_batch(blocks):
    shares = [probabilities(block) for block in blocks]
    found = [
        [
            same(blocks[i]) if i == j else sum(p * q for p, q in zip(shares[i], shares[j], strict=True))
            for j in range(len(blocks))
        ]
        for i in range(len(blocks))
    ]
    return found if len(blocks) > 1 else found[0][0]


def by_step(block):
    p, q = probabilities(block), joint(block)
    return [
        [sum(p[: s + 1]), sum(q[a][b] for a in range(s + 1) for b in range(s + 1))] for s in range(len(p))
    ]


def moments(values, block):
    """Give mean and variance of a unit's value and the covariance of two units' values."""
    p, q = probabilities(block), joint(block)
    mean = sum(v * each for v, each in zip(values, p, strict=True))
    square = sum(v * v * each for v, each in zip(values, p, strict=True))
    cross = sum(values[a] * values[b] * q[a][b] for a in range(len(p)) for b in range(len(p)))
    return [mean, square - mean**2, cross - mean**2]


def counts_covariance(block):
    law = totals([block])
    arms = range(len(block[1]))
    mean = [sum(w * c[a] for c, w in law.items()) for a in arms]
    return [[sum(w * c[a] * c[b] for c, w in law.items()) - mean[a] * mean[b] for b in arms] for a in arms]


def single(rows):
    return rows[0] if len(rows) == 1 else rows


def rows_of_counts(blocks, item):
    law = totals(blocks)
    if item["id"].startswith("simple"):
        return [[counts[1], weight] for counts, weight in sorted(law.items(), key=lambda row: row[0][1])]
    return [[*counts, weight] for counts, weight in sorted(law.items())]


def support(blocks, item):
    (n, shares, _), law = blocks[0], totals(blocks)
    return [
        [int(n * p), int(n * p) + 1, sum(w for counts, w in law.items() if counts[arm] == int(n * p) + 1)]
        for arm, p in enumerate(shares)
    ]


def count_moments(blocks, item):
    law = totals(blocks)
    mean = sum(w * counts[1] for counts, w in law.items())
    return [mean, sum(w * counts[1] ** 2 for counts, w in law.items()) - mean**2]


def same_cluster(blocks, item):
    p = probabilities(blocks[0])
    return [[p[a] if a == b else Fraction(0) for b in range(len(p))] for a in range(len(p))]


def factor_margins(blocks, item):
    p = probabilities(blocks[0])
    return [p[1] + p[3], p[2] + p[3]]


def joint_factor(blocks, item):
    q = joint(blocks[0])
    return sum(q[a][b] for a in (1, 3) for b in (1, 3))


def mean_factor(block, weights):
    """Give Var(Σ w(sᵢ) yᵢ) / S² for fixed values yᵢ: (n − 1)(variance − covariance of the weights)."""
    _, variance, covariance = moments(weights, block)
    return (block[0] - 1) * (variance - covariance)


def class_means(blocks, item, *, differences):
    n, shares, _ = blocks[0]
    own = [[Fraction(s == t) / (n * p) for t in range(len(shares))] for s, p in enumerate(shares)]
    if not differences:
        return [mean_factor(blocks[0], weights) for weights in own]
    apart = [[[a - b for a, b in zip(one, two, strict=True)] for two in own] for one in own]
    return [[mean_factor(blocks[0], weights) for weights in row] for row in apart]


DERIVED = {
    "probabilities": lambda blocks, _: single([probabilities(block) for block in blocks]),
    "start-probabilities": lambda blocks, _: single([probabilities(block) for block in blocks]),
    "joint": lambda blocks, _: single([joint(block) for block in blocks]),
    "joint-start": lambda blocks, _: joint(blocks[0]),
    "joint-other-cluster": lambda blocks, _: joint(blocks[0]),
    "joint-same-cluster": same_cluster,
    "number": lambda blocks, _: prod(
        space_size([(np.arange(n), shares)], law=law) for n, shares, law in blocks
    ),
    "counts": rows_of_counts,
    "total-counts": rows_of_counts,
    "support": support,
    "moments": count_moments,
    "one-arm": lambda blocks, _: sum(w for c, w in totals(blocks).items() if blocks[0][0] in c),
    "no-empty-arm": lambda blocks, _: sum(w for c, w in totals(blocks).items() if 0 not in c),
    "counts-variance": lambda blocks, _: counts_covariance(blocks[0]),
    "treated-units": lambda blocks, item: treated_units(
        blocks, item["inputs"].get("blocks") or [item["inputs"]["cluster_sizes"]]
    ),
    "dose-moments": lambda blocks, item: moments(item["inputs"]["doses"], blocks[0]),
    "factor-margins": factor_margins,
    "joint-factor": joint_factor,
    "treated-by-step": lambda blocks, _: by_step(blocks[0]),
    "same-step": lambda blocks, _: single([same(block) for block in blocks]),
    "same-batch": lambda blocks, _: same_batch(blocks),
    "mean-variance-factor": partial(class_means, differences=False),
    "mean-difference-variance-factor": partial(class_means, differences=True),
}
"""Each quantity of an item, from the product's law of the counts."""


@pytest.mark.parametrize("item", DRAWN, ids=lambda item: item["id"])
def test_the_law_of_the_scheme_is_the_published_one(item):
    assert DERIVED[item["id"].split("/")[-1]](blocks_of(item), item) == stated(item)


@pytest.mark.parametrize("item", MATCHED, ids=lambda item: item["id"])
def test_matching_agrees_with_nbpmatching(item):
    distances = mahalanobis(np.array(item["inputs"]["covariates"], dtype=float))
    squared = item["id"].endswith("total-squared")
    weights = distances**2 if squared else distances
    pairs = optimal_pairs(np.rint(weights * 10**6).astype(np.int64))
    kind = item["id"].split("/")[-1]
    n = len(distances)
    found = {
        "distances": distances,
        "pairs": [list(pair) for pair in pairs],
        "total": sum(weights[pair] for pair in pairs if len(pair) == 2),
        "number": [prod(range(n - 1 + n % 2, 0, -2)), 2 ** len(pairs)],
    }[kind.removesuffix("-squared")]
    if kind == "pairs":
        assert found == item["value"]
    else:
        np.testing.assert_allclose(found, item["value"], atol=1e-9)
