"""Many re-runs of a sequential rule on the same order of enrolment, for randomization inference.

The law is that of the ledger: whoever is enrolled next gets an arm with the exact probabilities that the rule
gives after those before (Rosenberger, Uschner & Wang 2019, section 3). Random numbers are NumPy's.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rct.errors import AllocationError
from rct.randomization.sequential_design import Minimisation, PermutedBlocks, SequentialDesign
from rct.randomization.sequential_rules import Arrival, next_arm

if TYPE_CHECKING:
    from rct.randomization.random_draws import Draws

Levels = tuple[str, ...]
Edges = npt.NDArray[np.float64]


def sequential_draws(
    design: SequentialDesign, levels: Sequence[Levels], *, n: int, seed: int | np.random.SeedSequence
) -> "Draws":
    """Run a sequential rule again and again on the same people in the same order.

    Parameters
    ----------
    design
        The design.
    levels
        Of each in order of enrolment, the levels of the design's characteristics.
    n
        Number of draws.

    Returns
    -------
    numpy.ndarray
        (n, people) int16 numbers of arms, in the order of ``design.arms``.

    Raises
    ------
    AllocationError
        For fewer than one draw.
    """
    if n < 1:
        raise AllocationError(f"{n} draws cannot be made; give 1 or more")
    generator = np.random.default_rng(seed)
    draws = np.empty((n, len(levels)), dtype=np.int16)
    if isinstance(design.rule, PermutedBlocks):
        _fill_blocks(draws, design, design.rule, levels, generator)
        return draws
    for place, own in enumerate(levels):
        counts = _counts(draws[:, :place], design, levels[:place], own)
        states, which = np.unique(counts.reshape(n, -1), axis=0, return_inverse=True)
        edges = np.array([_edges(design, state.reshape(counts.shape[1:]), own) for state in states])
        draws[:, place] = _arms(edges[which.ravel()], generator)
    return draws


def _counts(
    given: "Draws", design: SequentialDesign, earlier: Sequence[Levels], own: Levels
) -> npt.NDArray[np.intp]:
    """Give all that a rule reads: who is in each arm, by stratum or by factor: (n, 1 or factors, arms)."""
    minimised = isinstance(design.rule, Minimisation)
    alike = (
        [[theirs[factor] == level for theirs in earlier] for factor, level in enumerate(own)]
        if minimised
        else [[theirs == own for theirs in earlier]]
    )
    return np.array(
        [
            [(given[:, np.array(same, dtype=bool)] == arm).sum(axis=1) for arm in range(len(design.arms))]
            for same in alike
        ]
    ).transpose(2, 0, 1)


def _edges(design: SequentialDesign, counts: npt.NDArray[np.intp], own: Levels) -> list[float]:
    """Give the running sums of the next arm's probabilities, from people who make up these counts."""
    history: list[Arrival] = []
    for factor, by_arm in enumerate(counts.tolist()):
        # Under minimisation each is like the newcomer in one factor only: a NUL begins no level.
        levels = own
        if isinstance(design.rule, Minimisation):
            levels = tuple(level if i == factor else "\0" for i, level in enumerate(own))
        history += [(arm, levels) for arm, number in enumerate(by_arm) for _ in range(number)]
    probabilities = next_arm(design, history, own, block_size=lambda _: 1)
    return np.cumsum([float(probability) for probability in probabilities]).tolist()


def _fill_blocks(
    draws: "Draws",
    design: SequentialDesign,
    rule: PermutedBlocks,
    levels: Sequence[Levels],
    generator: np.random.Generator,
) -> None:
    """Draw from the places left in each stratum's block; an empty one is followed by one of a drawn size."""
    shares = np.array(design.shares)
    rows = np.arange(len(draws))
    left = {stratum: np.zeros((len(draws), len(shares)), dtype=np.int64) for stratum in levels}
    for place, stratum in enumerate(levels):
        own = left[stratum]
        empty = ~own.any(axis=1)
        sizes = generator.choice(rule.sizes, size=int(empty.sum()))
        own[empty] = sizes[:, None] // shares.sum() * shares
        draws[:, place] = _arms(np.cumsum(own, axis=1) / own.sum(axis=1, keepdims=True), generator)
        own[rows, draws[:, place]] -= 1


def _arms(edges: Edges, generator: np.random.Generator) -> "Draws":
    u = generator.random((len(edges), 1))
    return (u >= edges[:, :-1]).sum(axis=1).astype(np.int16)
