"""Which units go together: how probably two follow the same sequence, and what a restriction does to it.

A restriction that leaves two units almost always together, or apart, or that moves a unit's own probability,
has made part of the allocation certain (Moulton 2004).
"""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from rct.identifiers import listed
from rct.randomization.factorial_cells import factorial_counts
from rct.randomization.random_draws import Draws, count_law

if TYPE_CHECKING:
    from rct.randomization.allocation import Allocation

SIMULATED = 20_000
CERTAIN = 0.1
MOVED = 0.25


def co_assignment(allocation: "Allocation") -> pd.DataFrame:
    """Give the probability that two units follow the same sequence.

    Exact, except where the officers of a squad are capped: there it is the share in 20,000 draws.

    Returns
    -------
    pandas.DataFrame
        Randomized units × randomized units, 1 on the diagonal.
    """
    units = pd.Index(allocation.frame["unit"], name="unit")
    return pd.DataFrame(_same_sequence(allocation), index=units, columns=units)


def restriction_notes(allocation: "Allocation") -> tuple[str, ...]:
    """Say which units a restriction ties together, keeps apart, or moves from their probability.

    Two units count as tied when the restriction leaves less than a tenth of the probability that they are
    apart, as kept apart when it leaves less than a tenth of the probability that they are together. A unit's
    probability of a sequence has moved when it differs by more than a quarter of its own or its complement.
    """
    if allocation.accepted is None:
        return ()
    free = replace(allocation, accepted=None)
    before, after = _same_sequence(free), _same_sequence(allocation)
    units = allocation.frame["unit"].tolist()
    tied = _pairs(units, 1 - after < CERTAIN * (1 - before))
    apart = _pairs(units, after < CERTAIN * before)
    notes = [
        f"The restriction leaves {len(pairs)} pair{'s' * (len(pairs) > 1)} of units (almost) always {how}: "
        f"{listed(pairs)}. Keep more candidates, or fewer covariates."
        for pairs, how in ((tied, "together"), (apart, "apart"))
        if pairs
    ]
    moved = _moved(allocation, units)
    if moved:
        notes.append(
            f"The restriction moves the probability of a sequence from its target: {listed(moved)}. Tests "
            "are centred at the probabilities of the restricted mechanism; so must weights be."
        )
    return tuple(notes)


def _same_sequence(allocation: "Allocation") -> npt.NDArray[np.float64]:
    drawn, sequences = allocation.plan.drawn, len(allocation.plan.sequences)
    if allocation.accepted is not None:
        return _shares_together(allocation.accepted, sequences)
    if drawn == "by circle":
        return _shares_together(allocation.draws(SIMULATED, seed=0), sequences)
    law = factorial_counts if drawn == "by cell" else count_law
    shares = np.zeros((len(allocation.frame), sequences))
    for columns, own in allocation.blocks:
        shares[columns] = [float(share) for share in own]
    together = shares @ shares.T
    if drawn != "by unit":
        for columns, own in allocation.blocks:
            together[np.ix_(columns, columns)] = _within_block(law(len(columns), own), len(columns))
    np.fill_diagonal(together, 1.0)
    return together


def _within_block(law: Sequence[tuple[tuple[int, ...], Fraction]], units: int) -> float:
    """Give Σ P(counts)·Σₛ nₛ(nₛ − 1) / n(n − 1): all orders of given counts are equally probable."""
    pairs = max(1, units * (units - 1))
    return sum(float(weight) * sum(n * (n - 1) for n in counts) / pairs for counts, weight in law)


def _shares_together(draws: Draws, sequences: int) -> npt.NDArray[np.float64]:
    total = np.zeros((draws.shape[1], draws.shape[1]))
    for sequence in range(sequences):
        follows = (draws == sequence).astype(float)
        total += follows.T @ follows
    return total / len(draws)


def _pairs(units: list[str], marked: npt.NDArray[np.bool_]) -> list[str]:
    return [f"{units[i]} and {units[j]}" for i, j in zip(*np.nonzero(np.triu(marked, 1)), strict=True)]


def _moved(allocation: "Allocation", units: list[str]) -> list[str]:
    """Name the units and sequences, those that moved most first."""
    found = []
    after = allocation.probabilities.to_numpy()
    for columns, own in allocation.blocks:
        for sequence, target in enumerate(map(float, own)):
            off = abs(after[columns, sequence] - target)
            for unit, distance in zip(columns.tolist(), off.tolist(), strict=True):
                if distance > MOVED * min(target, 1 - target) + 1e-12:
                    text = f"{units[unit]}, sequence {sequence}: {after[unit, sequence]:.2f}"
                    found.append((-round(distance, 9), f"{text} instead of {target:.2f}"))
    return [text for _, text in sorted(found)]
