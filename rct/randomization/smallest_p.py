"""The smallest p-value that a randomization test of an allocation can give."""

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from rct.randomization.accepted_set import compatible, smallest_share
from rct.randomization.mechanisms import mechanism
from rct.randomization.random_draws import permutations

if TYPE_CHECKING:
    from rct.randomization.allocation import Allocation


def smallest_p_value(allocation: "Allocation") -> float:
    """Give the smallest two-sided p-value.

    The probability of the least probable allocation, doubled where every allocation has a mirror image (two
    sequences of equal share); with several treatment arms that never change, the worst of the comparisons of
    one arm with the control, the other arms' units held fixed.
    """
    plan, arms = allocation.plan, [treatment.name for treatment in allocation.trial.arms.treatments]
    switching = any(sequence.switches for sequence in plan.sequences)
    single = len(arms) == 1 or switching or plan.drawn == "by circle"
    if single and allocation.accepted is not None:
        return smallest_share(allocation.accepted, range(len(plan.sequences)))
    if single:
        shares = {share for _, block in allocation.blocks for share in block}
        mirrored = len(plan.sequences) == 2 and len(shares) == 1
        return min(1.0, (2 if mirrored else 1) * mechanism(plan).least(allocation.blocks))
    compared = [
        [s for s, one in enumerate(plan.sequences) if one.arm in (arm, allocation.control)] for arm in arms
    ]
    if allocation.accepted is not None:
        return max(_of_accepted(allocation, sequences) for sequences in compared)
    pairwise = _of_units if plan.drawn == "by unit" else _of_orders
    return max(pairwise(allocation, sequences) for sequences in compared)


def _of_orders(allocation: "Allocation", compared: list[int]) -> float:
    orders, mirrored = 1, len(compared) == 2
    given = allocation.frame["sequence"].to_numpy()
    for columns, _ in allocation.blocks:
        counts = tuple(int((given[columns] == sequence).sum()) for sequence in compared)
        orders *= permutations(counts)
        mirrored = mirrored and len(set(counts)) == 1
    return min(1.0, (2 if mirrored else 1) / orders)


def _of_accepted(allocation: "Allocation", compared: list[int]) -> float:
    assert allocation.accepted is not None
    given = allocation.frame["sequence"].to_numpy()
    rows = allocation.accepted[compatible(allocation.accepted, given, compared)]
    return smallest_share(rows, compared)


def _of_units(allocation: "Allocation", compared: list[int]) -> float:
    given = allocation.frame["sequence"].to_numpy()
    shares = [[block[sequence] for sequence in compared] for _, block in allocation.blocks]
    units = [int(np.isin(given[columns], compared).sum()) for columns, _ in allocation.blocks]
    mirrored = len(compared) == 2 and len({share for each in shares for share in each}) == 1
    least = [float(min(each) / sum(each)) ** n for each, n in zip(shares, units, strict=True) if n]
    return min(1.0, (2 if mirrored else 1) * prod(least))
