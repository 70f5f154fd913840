"""Randomize a million officers in a thousand blocks, and draw a staggered design, beside a NumPy permutation.

Run as ``python benchmarks/randomization.py``; it prints seconds, and their ratio to the permutation. A tiny
roster is randomized first, so that the imports of a first call are not counted.
"""

from time import perf_counter, process_time

import numpy as np
import pandas as pd

import rct
from rct.trial import Trial

TRIAL = """
format = 1
name = "benchmark"
[units]
randomize = "officer_id"
measure = "officer"
id = "officer_id"
{block}
[arms]
control = "usual training"
treatments = ["ICAT"]
[schedule]
{schedule}
[[outcomes]]
name = "force"
primary = true
[analysis]
primary = "poisson"
"""
OFFICERS = 7_785
COHORTS = 47


def declared(schedule: str, block: str = "") -> Trial:
    """Give a trial with this schedule."""
    return Trial.parse(TRIAL.format(schedule=schedule, block=block))


def in_districts(units: int, blocks: int) -> pd.DataFrame:
    """Give a roster of officers in equally many of each district."""
    ids = [f"O{i:07d}" for i in range(units)]
    return pd.DataFrame({"officer_id": ids, "district": [f"D{i % blocks:04d}" for i in range(units)]})


def million(units: int = 1_000_000, blocks: int = 1_000) -> tuple[float, float]:
    """Give the seconds of randomize, and of permuting the same arms within the same blocks."""
    trial = declared('kind = "parallel"\nperiods = 4', 'block = ["district"]')
    rct.randomize(trial, in_districts(8, 2), seed=1)
    roster = in_districts(units, blocks)
    began, spent = perf_counter(), process_time()
    rct.randomize(trial, roster, seed=1)
    ours = perf_counter() - began
    print(f"randomize, first calls' imports left out: {process_time() - spent:.2f} s of CPU")
    generator, arms = np.random.default_rng(1), np.repeat([0, 1], units // blocks // 2)
    began = perf_counter()
    for _ in range(blocks):
        generator.permutation(arms)
    return ours, perf_counter() - began


def staggered(draws: int = 10_000) -> tuple[float, float]:
    """Give the seconds of many draws, and of permuting the same sequence numbers as often."""
    sizes = [OFFICERS // COHORTS + (i < OFFICERS % COHORTS) for i in range(COHORTS)]
    starts = list(range(2, COHORTS + 2))
    trial = declared(f'kind = "staggered"\nperiods = {COHORTS + 1}\nstarts = {starts}\nsizes = {sizes}')
    roster = pd.DataFrame({"officer_id": [f"{i:04d}" for i in range(OFFICERS)]})
    allocation = rct.randomize(trial, roster, seed=1)
    began = perf_counter()
    allocation.draws(draws, seed=1)
    ours = perf_counter() - began
    generator, cohorts = np.random.default_rng(1), np.repeat(np.arange(COHORTS, dtype=np.int16), sizes)
    began = perf_counter()
    for _ in range(draws):
        generator.permutation(cohorts)
    return ours, perf_counter() - began


if __name__ == "__main__":
    for what, (ours, plain) in {
        "1,000,000 officers in 1,000 blocks": million(),
        f"10,000 draws of {OFFICERS:,} officers in {COHORTS} cohorts": staggered(),
    }.items():
        print(f"{what}: rct {ours:.2f} s, NumPy permutation {plain:.2f} s, ratio {ours / plain:.1f}")
