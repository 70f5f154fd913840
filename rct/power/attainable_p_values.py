"""The smallest p-value that a randomization test of a planned design can give."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rct.errors import RctError
from rct.power.solving import check_choice, check_levels


@dataclass(frozen=True, kw_only=True)
class AttainableP:
    """Distinct allocations of a design, and the smallest p-value they can give."""

    strata: tuple[tuple[int, ...], ...]
    sides: Literal[1, 2]
    draws: int | None
    allocations: int
    p_value: float


def attainable_p(
    strata: Sequence[Sequence[int]], *, sides: Literal[1, 2] = 2, draws: int | None = None
) -> AttainableP:
    """Count the allocations of a design before there is a roster, and the smallest p they can give.

    Each stratum of n clusters has n!/Π nₛ! allocations to sequences of nₛ clusters; the smallest p is one
    over their product. Two-sided it doubles where every allocation has a mirror image with the opposite
    statistic: two sequences of equal size in every stratum (equal arms, matched pairs, a wedge of two steps).
    A wedge of three or more sequences has none. With Monte-Carlo draws p = (1 + b) / (1 + draws) is never
    below 1 / (1 + draws) either. Where it is drawn too which arm gets the odd cluster, as rct does, there are
    twice as many allocations with the same smallest p.

    Parameters
    ----------
    strata : sequence of sequences of int
        Clusters of each sequence (arm, step), stratum by stratum: ``[[4, 4]]`` parallel, ``[[1] * 9]`` a
        wedge of nine divisions, ``[[1, 1]] * 6`` six matched pairs.
    sides : {1, 2}
    draws : int, optional
        Re-randomizations drawn; None: all allocations are enumerated.

    Raises
    ------
    RctError
        If a stratum has fewer than two sequences, or a size is no positive whole number.
    """
    check_choice("sides", sides, Literal[1, 2])
    sizes = tuple(tuple(stratum) for stratum in strata)
    if not sizes or any(len(stratum) < 2 for stratum in sizes):
        raise RctError("every stratum needs the cluster counts of two sequences or more")
    if any(not isinstance(n, int) or n < 1 for stratum in sizes for n in stratum):
        raise RctError("the clusters of a sequence are a whole number, 1 or more")
    allocations = math.prod(
        math.factorial(sum(stratum)) // math.prod(map(math.factorial, stratum)) for stratum in sizes
    )
    mirrored = all(len(stratum) == 2 and stratum[0] == stratum[1] for stratum in sizes)
    smallest = (2 if mirrored and sides == 2 else 1) / allocations
    if draws is not None:
        smallest = max(smallest, 1 / (1 + draws))
    return AttainableP(strata=sizes, sides=sides, draws=draws, allocations=allocations, p_value=smallest)


def fewest_clusters(kind: Literal["parallel", "wedge", "pairs"], *, alpha: float = 0.05) -> int:
    """Give the smallest design of a kind whose two-sided randomization test can reach alpha at all.

    Parameters
    ----------
    kind : {"parallel", "wedge", "pairs"}
        Clusters of two equal arms, of a wedge with one cluster a step, or matched pairs.
    alpha : float

    Raises
    ------
    RctError
        If alpha lies outside (0, 1).
    """
    check_levels(alpha, None)
    check_choice("kind", kind, Literal["parallel", "wedge", "pairs"])
    at = {
        "parallel": lambda n: [[n, n]],
        "wedge": lambda n: [[1] * n],
        "pairs": lambda n: [[1, 1]] * n,
    }[kind]
    n = 2 if kind == "wedge" else 1
    while attainable_p(at(n)).p_value > alpha:
        n += 1
    return 2 * n if kind == "parallel" else n
