"""Replicates of a wedge like Louisville's, officer by officer: what the validation studies analyse.

24 months and 600 officers of gamma-distributed activity (shape .6) in divisions of sd .15, months of a
division of sd .10; .05 incidents per officer and month unless told otherwise.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

import rct
from rct.simulation import declared_truth, synthetic_roster
from rct.simulation.officer_counts import draw_counts

PERIODS = 24
CHUNK = 100

TRIAL = """
format = 1
name = "wedge"
[units]
randomize = "division"
measure = "officer"
id = "officer_id"
[arms]
control = "usual"
treatments = ["ICAT"]
[schedule]
kind = "stepped-wedge"
periods = 24
baseline = {baseline}
step = {step}
per_step = {per_step}
[[outcomes]]
name = "force"
primary = true
[analysis]
primary = "poisson"
[power]
rates = {{ force = {rate} }}
clusters = {clusters}
units = 600
heterogeneity = 0.6
officers_per_incident = {shared}
cluster_sd = 0.15
cluster_period_sd = 0.10
trend = {trend}
"""


@dataclass(frozen=True)
class Wedge:
    """A wedge: how many divisions cross at a time, from when, how often; officers per incident; its rate."""

    clusters: int
    per_step: int = 1
    baseline: int = 12
    step: int = 1
    shared: float = 1.0
    trend: float = -0.005
    rate: float = 0.05


@dataclass(frozen=True)
class Replicates:
    """Simulated trials.

    officers : (replicates, officers, periods) counts
    member : (officers,) cluster of each
    followed : (replicates, clusters) sequence of each
    dose : (sequences, periods)
    draws : (draws, clusters) re-randomizations; all there are where `exact`
    probabilities : (clusters, sequences)
    """

    officers: np.ndarray
    member: np.ndarray
    followed: np.ndarray
    dose: np.ndarray
    draws: np.ndarray
    exact: bool
    probabilities: np.ndarray

    @property
    def counts(self):
        """Totals (replicates, clusters, periods)."""
        member = (self.member == np.arange(self.followed.shape[1])[:, None]).astype(np.float32)
        return (member @ self.officers.astype(np.float32)).astype(float)

    @property
    def given(self):
        """Dose that each cluster received (replicates, clusters, periods)."""
        return self.dose[self.followed]

    @property
    def starts(self):
        """First treated period of each sequence, 0 for never."""
        return np.where(self.dose.any(axis=1), self.dose.argmax(axis=1) + 1, 0)


def simulated(wedge: Wedge, course, *, simulations: int, draws: int, seed: int) -> Iterator[Replicates]:
    """Simulate trials, a chunk at a time; the same ones whatever the chunk.

    Parameters
    ----------
    wedge : Wedge
    course : callable
        Log rate ratio at each exposure time (1 = first treated period), on arrays.
    simulations, draws, seed : int
        Number of trials, number of re-randomizations, and what both are drawn from.
    """
    trial = rct.Trial.parse(TRIAL.format(**vars(wedge)))
    roster = synthetic_roster(trial)
    allocation = rct.randomize(trial, roster, seed="validation")
    dose = allocation.sequences.pivot(index="sequence", columns="period", values="dose").to_numpy()
    member = pd.Index(allocation.frame["unit"]).get_indexer(roster["division"])
    truth, effects = declared_truth(trial, None), dose * course(np.maximum(dose.cumsum(axis=1), 1.0))
    exact = allocation.space <= draws
    redrawn = allocation.draws("exact" if exact else draws, seed=None if exact else seed + 1)
    followed = allocation.draws(simulations, seed=seed)
    for first in range(0, simulations, CHUNK):
        own = followed[first : first + CHUNK]
        officers = np.empty((len(own), len(roster), PERIODS), dtype=np.int16)
        for r, sequence in enumerate(own):
            rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(first + r,)))
            officers[r] = draw_counts(rng, truth, member, member, effects[None, sequence[member]])[0]
        yield Replicates(
            officers, member, own, dose, redrawn, exact, allocation.probabilities.to_numpy(dtype=float)
        )
