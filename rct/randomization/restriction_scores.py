"""Scores of imbalance in whole numbers: how far an allocation's groups are from what is expected of them.

For group g and covariate k the imbalance is Tgk = L·Σᵢ (1[i in g] − pᵢg)·aᵢk: a are the covariates as whole
numbers, p the probabilities without the restriction, L their common denominator. With two arms and
standardized covariates this is L times the sum over treated units that cvcrand scores (Li, Turner & Preisser
2017); the complement of a group has exactly −T, so mirror images tie exactly.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor, lcm
from typing import Any

import numpy as np
import numpy.typing as npt

from rct.errors import AllocationError
from rct.randomization.covariates import Covariates
from rct.randomization.random_draws import BlockOfUnits, Draws, count_law
from rct.schedule import Sequence as Path

Scores = npt.NDArray[Any]
"""Whole numbers: of the machine, or Python's own where those might overflow."""
Group = frozenset[int]
Matrix = list[list[Fraction]]

CHUNK = 20_000
LARGEST = 2**62
"""Sums beyond it are made of Python's own integers, which never overflow."""


@dataclass(frozen=True)
class Scoring:
    """A score as whole numbers, and the number that stands for one."""

    scores: Scores
    unit: int

    def exact(self, score: int) -> Fraction:
        """Give a score on its own scale."""
        return Fraction(int(score), self.unit)

    def whole(self, limit: Fraction) -> int:
        """Give the largest whole score that is at most a limit."""
        found = floor(limit * self.unit)
        return found if self.scores.dtype == object else min(found, LARGEST)


def compared_groups(sequences: Sequence[Path], arms: Sequence[str]) -> list[Group]:
    """Give the groups that ought to be alike: for each period and arm the sequences then under that arm.

    The treatments come first, in the order of ``arms`` (the control stands first there), the control is last.
    A group counts once, and so do a group and its complement: in a parallel trial of two arms one group is
    left, in a wedge one for each step but the last.
    """
    found: list[Group] = []
    everyone = frozenset(range(len(sequences)))
    for period in range(len(sequences[0].doses)):
        for arm in (*arms[1:], arms[0]):
            group = frozenset(
                number for number, path in enumerate(sequences) if _under(path, period, arm, control=arms[0])
            )
            if group and group != everyone and not {group, everyone - group} & set(found):
                found.append(group)
    return found


def imbalance_scores(
    draws: Draws,
    blocks: Sequence[BlockOfUnits],
    groups: Sequence[Group],
    covariates: Covariates,
    *,
    squared: bool,
) -> Scoring:
    """Score draws by l2 = Σ (w·T)² or l1 = Σ |w·T|, over groups and covariates.

    Parameters
    ----------
    draws : (draws, units)
    squared
        l2, else l1.
    """
    scale = _common_denominator(blocks, groups)
    largest = max(covariates.weights) * _largest_sum(covariates, scale)
    terms = len(groups) * len(covariates.names)
    exact = _whole_numbers(terms * (largest**2 if squared else largest))
    weights = np.array(covariates.weights, dtype=exact)

    def score(rows: Draws) -> Scores:
        total = np.zeros(len(rows), dtype=exact)
        for group in groups:
            weighted = _imbalance(rows, blocks, group, covariates, scale, exact) * weights
            total += (weighted * weighted if squared else abs(weighted)).sum(axis=1)
        return total

    unit = scale * covariates.unit
    return Scoring(_in_chunks(draws, score), unit**2 if squared else unit)


def mahalanobis_scores(
    draws: Draws, blocks: Sequence[BlockOfUnits], groups: Sequence[Group], covariates: Covariates
) -> Scoring:
    """Score draws by M = T′V⁻¹T: T stacks the imbalances of disjoint groups, V is its exact covariance.

    V is that without the restriction. With one block, two arms and a fixed number of treated units M is that
    of Morgan & Rubin (2012, eq. 1). Of several arms all but one are given, and which is left out does not
    matter: its T is minus the sum of the others. With one block and fixed numbers M is then N − 1 times
    Pillai's trace, and nearly chi-square with (arms − 1)·(covariates) degrees of freedom, as it is over the
    cells of Branson, Dasgupta & Rubin (2016).

    Raises
    ------
    AllocationError
        When a covariate is explained by the others, so that V has no inverse.
    """
    scale = _common_denominator(blocks, groups)
    names = [name for _ in groups for name in covariates.names]
    inverse = _inverse(_covariance(blocks, groups, covariates, scale), names)
    unit = lcm(*(entry.denominator for row in inverse for entry in row))
    whole = [[int(entry * unit) for entry in row] for row in inverse]
    largest = max(abs(entry) for row in whole for entry in row)
    exact = _whole_numbers(len(names) ** 2 * largest * _largest_sum(covariates, scale) ** 2)
    weights = np.array(whole, dtype=exact)

    def score(rows: Draws) -> Scores:
        each = [_imbalance(rows, blocks, group, covariates, scale, exact) for group in groups]
        imbalance = np.concatenate(each, axis=1)
        found: Scores = ((imbalance @ weights) * imbalance).sum(axis=1)
        return found

    return Scoring(_in_chunks(draws, score), unit)


def side_by_side(groups: Sequence[Group], sequences: int) -> bool:
    """Say whether groups are disjoint and hold every sequence, as the arms of a parallel trial do."""
    return sorted(number for group in groups for number in group) == [*range(sequences)]


def _under(path: Path, period: int, arm: str, *, control: str) -> bool:
    dose = path.doses[period]
    return dose == 0 if arm == control else dose > 0 and path.arms[period] == arm


def _probability(shares: Sequence[Fraction], group: Group) -> Fraction:
    return sum((shares[sequence] for sequence in group), Fraction(0))


def _common_denominator(blocks: Sequence[BlockOfUnits], groups: Sequence[Group]) -> int:
    return lcm(*(_probability(shares, group).denominator for _, shares in blocks for group in groups))


def _largest_sum(covariates: Covariates, scale: int) -> int:
    return 2 * scale * max(sum(map(abs, column)) for column in zip(*covariates.values, strict=True))


def _whole_numbers(largest: int) -> type[np.int64] | type[object]:
    """Take machine integers where no sum can overflow them, else Python's own."""
    return np.int64 if largest < LARGEST else object


def _imbalance(
    rows: Draws,
    blocks: Sequence[BlockOfUnits],
    group: Group,
    covariates: Covariates,
    scale: int,
    exact: type[np.int64] | type[object],
) -> Scores:
    """Give T of one group: (rows, covariates)."""
    sequences = 1 + max(len(shares) for _, shares in blocks)
    belongs = np.array([sequence in group for sequence in range(sequences)], dtype=exact)
    expected = [0] * len(covariates.names)
    for columns, shares in blocks:
        times = int(scale * _probability(shares, group))
        for unit in columns:
            for place, value in enumerate(covariates.values[unit]):
                expected[place] += times * value
    values = np.array(covariates.values, dtype=exact)
    found: Scores = scale * (belongs[rows] @ values) - np.array(expected, dtype=exact)
    return found


def _in_chunks(draws: Draws, score: Callable[[Draws], Scores]) -> Scores:
    parts = [score(draws[first : first + CHUNK]) for first in range(0, len(draws), CHUNK)]
    return np.concatenate(parts)


def _covariance(
    blocks: Sequence[BlockOfUnits], groups: Sequence[Group], covariates: Covariates, scale: int
) -> Matrix:
    """Give V: the sum over blocks of (r − p·p′)·Σ aᵢk·aᵢl + (q − p·p′)·(Ak·Al − Σ aᵢk·aᵢl), times L².

    For groups g and g′ of a block with indicators z: p is E zᵢg and p′ is E zᵢg′, r is p where g = g′ and
    else 0, q is E zᵢg·zⱼg′ of two units, and A is the sum of a over the block.
    """
    size = len(covariates.names)
    cells = range(len(groups) * size)
    total = [[Fraction(0) for _ in cells] for _ in cells]
    for columns, shares in blocks:
        p, q = _moments(len(columns), shares, groups)
        values = [covariates.values[unit] for unit in columns]
        sums = [sum(column) for column in zip(*values, strict=True)]
        own = [[sum(row[k] * row[m] for row in values) for m in range(size)] for k in range(size)]
        for row in cells:
            for cell in cells:
                (g, k), (h, m) = divmod(row, size), divmod(cell, size)
                apart = p[g] * p[h]
                total[row][cell] += ((p[g] if g == h else 0) - apart) * own[k][m]
                total[row][cell] += (q[g][h] - apart) * (sums[k] * sums[m] - own[k][m])
    return [[scale**2 * entry for entry in row] for row in total]


def _moments(
    units: int, shares: Sequence[Fraction], groups: Sequence[Group]
) -> tuple[list[Fraction], Matrix]:
    """Give the probabilities that a unit belongs to each group, and that two units belong to each two."""
    one = [Fraction(0) for _ in groups]
    two = [[Fraction(0) for _ in groups] for _ in groups]
    for counts, weight in count_law(units, tuple(shares)):
        members = [sum(counts[sequence] for sequence in group) for group in groups]
        for g, mine in enumerate(members):
            one[g] += weight * Fraction(mine, units)
            for h, others in enumerate(members):
                pairs = mine * (others - (g == h))
                two[g][h] += weight * Fraction(pairs, max(1, units * (units - 1)))
    return one, two


def _inverse(matrix: Matrix, names: Sequence[str]) -> Matrix:
    """Invert exactly, by Gauss and Jordan."""
    size = len(matrix)
    rows = [[*row, *(Fraction(int(k == i)) for k in range(size))] for i, row in enumerate(matrix)]
    for i in range(size):
        pivot = next((r for r in range(i, size) if rows[r][i] != 0), None)
        if pivot is None:
            raise AllocationError(
                f"the covariate {names[i]} is explained by the others, or never differs between the arms; "
                "leave it out"
            )
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [entry / rows[i][i] for entry in rows[i]]
        for r in range(size):
            if r != i and rows[r][i] != 0:
                rows[r] = [a - rows[r][i] * b for a, b in zip(rows[r], rows[i], strict=True)]
    return [row[size:] for row in rows]
