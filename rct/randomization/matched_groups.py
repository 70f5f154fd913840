"""Matched pairs and groups: units alike in their covariates become small blocks (Greevy et al. 2004).

The groups are made once, before any seed is used, and stand in the certificate as an input. Rule:
``docs/allocation-bytes.md``, "Matched pairs and groups".
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pandas as pd

from rct.errors import AllocationError, DataError
from rct.randomization.blocked_units import BlockedUnits
from rct.randomization.keyed_order import Block
from rct.randomization.plan import block_name
from rct.randomization.rosters import Roster
from rct.trial_tables import Design

LARGEST_OPTIMAL = 400
DECIMALS = 6

Distances = npt.NDArray[np.int64]
Group = tuple[str, ...]


def in_matched_groups(roster: Roster, design: Design) -> Roster:
    """Divide every block of a roster into matched groups, each named for the first of its members.

    Raises
    ------
    DataError
        When a covariate is no number.
    AllocationError
        When the covariates of the units cannot tell them apart.
    """
    if design.randomization.scheme != "matched":
        return roster
    name = {unit: group[0] for _, group in _groups(roster, design) for unit in group}
    blocks = {unit: (*block, name[unit]) for unit, block in roster.blocks.items()}
    return replace(roster, in_blocks=BlockedUnits.of(blocks))


def in_certified_groups(roster: Roster, design: Design, *, units: Mapping[str, Sequence[str]]) -> Roster:
    """Take over the groups of a certificate, given by the blocks of its units, without judging them."""
    if design.randomization.scheme != "matched":
        return roster
    blocks = {
        unit: (*block, *units[unit][len(block) :]) if unit in units else block
        for unit, block in roster.blocks.items()
    }
    return replace(roster, in_blocks=BlockedUnits.of(blocks))


def group_problems(roster: Roster, design: Design) -> Iterator[str]:
    """Say in what certified groups are not such as the rule makes: as many, as large, as close together."""
    if design.randomization.scheme != "matched":
        return
    width = len(design.units.block)
    certified: dict[Block, list[str]] = {}
    for unit, block in roster.blocks.items():
        certified.setdefault(block, []).append(unit)
    unmatched = {unit: block[:width] for unit, block in roster.blocks.items()}
    plain = replace(roster, in_blocks=BlockedUnits.of(unmatched))
    made: dict[Block, list[Group]] = {}
    for block, group in _groups(plain, design):
        made.setdefault(block, []).append(group)
    ids, distances = _all_distances(roster, design)
    place = {unit: position for position, unit in enumerate(ids)}
    for block, groups in made.items():
        own = [tuple(units) for name, units in certified.items() if name[:width] == block]
        where = f" in block {block_name(block)}" if block else ""
        if sorted(map(len, own)) != sorted(map(len, groups)):
            yield f"the matched groups{where} are of sizes that the design does not make"
            continue
        spread, best = (_total(each, distances, place) for each in (own, groups))
        if abs(spread - best) > len(place):  # the last decimal of each distance may differ by platform
            yield (
                f"the matched groups{where} were not made by the rule: their distances sum to "
                f"{spread / 10**DECIMALS:g}, those of the rule to {best / 10**DECIMALS:g}"
            )


def mahalanobis(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Give the distances √((xᵢ − xⱼ)ᵀ S⁻¹ (xᵢ − xⱼ)), S the covariance (n − 1) of all rows.

    Raises
    ------
    AllocationError
        When a column is constant, or a sum of others.
    """
    covariance = np.atleast_2d(np.cov(values, rowvar=False))
    scale = np.sqrt(np.diag(covariance))
    if len(values) < 2 or (scale == 0).any() or np.linalg.cond(covariance / np.outer(scale, scale)) > 1e12:
        raise AllocationError(
            "units cannot be matched: a covariate is the same for all, or follows from the others; leave it "
            "out"
        )
    apart = values[:, None, :] - values[None, :, :]
    squares = np.einsum("ijk,kl,ijl->ij", apart, np.linalg.inv(covariance), apart)
    return np.sqrt(np.maximum(squares, 0.0))


def optimal_pairs(distances: Distances) -> list[tuple[int, ...]]:
    """Pair units so that the distances sum to the least; of an odd number the best to leave out is alone."""
    from networkx import Graph, min_weight_matching

    n = len(distances)
    graph = Graph()
    graph.add_nodes_from(range(n))
    graph.add_weighted_edges_from((i, j, int(distances[i, j])) for i in range(n) for j in range(i + 1, n))
    pairs = sorted(tuple(sorted(pair)) for pair in min_weight_matching(graph))
    paired = {unit for pair in pairs for unit in pair}
    return [*pairs, *((unit,) for unit in range(n) if unit not in paired)]


def greedy_groups(distances: Distances, *, size: int) -> list[tuple[int, ...]]:
    """Group the unit farthest from all others with its nearest, and so on with those that are left."""
    left = np.arange(len(distances))
    groups = []
    while len(left):
        among = distances[np.ix_(left, left)]
        first = int(among.sum(axis=1).argmax())
        nearest = np.argsort(among[first], kind="stable")
        chosen = [first, *(int(i) for i in nearest if i != first)][:size]
        groups.append(tuple(sorted(int(left[i]) for i in chosen)))
        left = np.delete(left, chosen)
    return groups


def _groups(roster: Roster, design: Design) -> Iterator[tuple[Block, Group]]:
    ids, distances = _all_distances(roster, design)
    size = design.randomization.group_size or len(design.arms.names)
    for block in roster.block_sizes:
        here = [position for position, unit in enumerate(ids) if roster.blocks[unit] == block]
        own = distances[np.ix_(here, here)]
        pairs = size == 2 and len(here) <= LARGEST_OPTIMAL
        for group in optimal_pairs(own) if pairs else greedy_groups(own, size=size):
            yield block, tuple(ids[here[position]] for position in group)


def _all_distances(roster: Roster, design: Design) -> tuple[list[str], Distances]:
    names = design.randomization.covariates
    units = roster.frame[design.units.randomize]
    columns = [_means(units, roster.frame[name]) for name in names]
    ids = sorted(columns[0])
    values = np.array([[float(column[unit]) for column in columns] for unit in ids])
    return ids, np.rint(mahalanobis(values) * 10**DECIMALS).astype(np.int64)


def _means(units: pd.Series, values: pd.Series) -> dict[str, Fraction]:
    """Average a covariate over the measured units of each randomized one, exactly."""
    sums: dict[str, list[Fraction]] = {}
    for unit, text in zip(units.tolist(), values.tolist(), strict=True):
        try:
            sums.setdefault(unit, []).append(Fraction(text))
        except (ValueError, ZeroDivisionError):
            raise DataError(
                f'roster: {values.name} of {unit} is "{text}", no number; units are matched on numbers'
            ) from None
    return {unit: sum(each, Fraction(0)) / len(each) for unit, each in sums.items()}


def _total(groups: Sequence[Group], distances: Distances, place: Mapping[str, int]) -> int:
    positions = [[place[unit] for unit in group] for group in groups]
    return sum(int(distances[np.ix_(group, group)].sum()) // 2 for group in positions)
