"""Exact randomization p-values over ``draws("exact")``, against R ri2 and enumeration in fractions.

The values stand in ``exact_p_references.json``, each with its tool; exact ties count, the observed allocation
too.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rct.randomization import randomize

FILE = Path(__file__).parent / "exact_p_references.json"
ITEMS = {item["id"]: item for item in json.loads(FILE.read_text(encoding="utf-8"))["items"]}
CASES = list(dict.fromkeys(name.rsplit("/", 1)[0] for name in ITEMS))
TOLERANCE = 1e-9


def item(case, quantity):
    return ITEMS.get(f"{case}/{quantity}")


def space_of(declared, inputs, given):
    """Give every allocation of a design with the sizes of the given one; units in the order of the inputs."""
    ids = [f"{i:02d}" for i in range(len(given))]
    blocks = inputs.get("block", [""] * len(given))
    roster = pd.DataFrame({"officer_id": ids, "block": blocks})
    if "first_treated_period" in inputs:
        periods = len(inputs["y"][0])
        sizes = [given.tolist().count(start) for start in range(2, 1 + max(given))]
        kind = f'kind = "stepped-wedge"\nperiods = {periods}\nbaseline = 1\nper_step = {sizes}'
        trial = declared(kind) if min(given) > 1 else None
    else:
        frame = pd.DataFrame({"block": blocks, "z": given})
        shares = frame.groupby("block")["z"].agg(["sum", "size"])
        tables = "\n".join(
            f'[[arms.probabilities.by_block]]\nblock = "{block}"\nICAT = "{row["sum"]}/{row["size"]}"'
            for block, row in shares.iterrows()
        )
        own = f'[arms.probabilities]\nICAT = "{given.sum()}/{len(given)}"'
        blocked = "block" in inputs
        trial = declared(block='["block"]' if blocked else "[]", probabilities=tables if blocked else own)
    return randomize(trial, roster, seed=1).draws("exact")


def statistic(inputs, allocations):
    """Give the statistic of each allocation: (allocations,)."""
    z = allocations.astype(float)
    if inputs["design"] == "matched pairs":
        high, low = np.array(inputs["pairs"], dtype=float).T
        return (z[:, ::2] * (high - low) + z[:, 1::2] * (low - high)).mean(axis=1)
    if inputs["design"] == "stepped wedge":
        y = np.array(inputs["y"], dtype=float)
        left = y - y.mean(axis=0)
        on = np.arange(1, y.shape[1] + 1) >= allocations[:, :, None]
        return (left * on).sum((1, 2)) / on.sum((1, 2)) - (left * ~on).sum((1, 2)) / (~on).sum((1, 2))
    y = np.array(inputs["y"], dtype=float)
    if "cluster" in inputs:
        z = z[:, np.unique(inputs["cluster"], return_inverse=True)[1]]
    blocks = np.array(inputs.get("block", [""] * len(y)))
    total = np.zeros(len(z))
    for block in np.unique(blocks):
        own = blocks == block
        treated, untreated = z[:, own], 1 - z[:, own]
        total += own.mean() * (
            treated @ y[own] / treated.sum(axis=1) - untreated @ y[own] / untreated.sum(axis=1)
        )
    return total


def observed_of(inputs):
    if inputs["design"] == "matched pairs":
        return np.array([1, 0] * len(inputs["pairs"]))
    if inputs["design"] == "clustered":
        return pd.Series(inputs["z"]).groupby(inputs["cluster"]).first().to_numpy()
    return np.array(inputs.get("first_treated_period", inputs.get("z")))


@pytest.mark.parametrize("case", CASES)
def test_the_exact_space_gives_the_published_p_values(case, declared):
    stated = item(case, "exact-p")
    inputs = stated["inputs"]
    given = observed_of(inputs)
    if inputs["design"] == "matched pairs":
        pairs = {**inputs, "block": [f"{i // 2}" for i in range(len(given))]}
        space = space_of(declared, pairs, given)
    else:
        space = space_of(declared, inputs, given)
    if inputs["design"] == "stepped wedge":
        space = space + 2
    observed = float(statistic(inputs, given[None])[0])
    every = statistic(inputs, space)
    upper, lower = (every >= observed - TOLERANCE).mean(), (every <= observed + TOLERANCE).mean()
    two = (abs(every) >= abs(observed) - TOLERANCE).mean()
    found = [len(space), two, upper, lower]
    assert found[: len(stated["value"])] == pytest.approx(stated["value"], abs=1e-12)
    if item(case, "statistic"):
        assert observed == pytest.approx(item(case, "statistic")["value"], abs=1e-12)
    if item(case, "null-variance"):
        assert [every.mean(), every.var()] == pytest.approx(item(case, "null-variance")["value"], abs=1e-12)
    if item(case, "doubled-p"):
        doubled = min(1.0, 2 * min(upper, lower))
        assert doubled == pytest.approx(item(case, "doubled-p")["value"], abs=1e-12)
