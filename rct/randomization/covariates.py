"""Covariates of the randomized units as whole numbers, so that scores are the same on every machine.

The rounding is laid down in ``docs/allocation-bytes.md``, "Restricted randomization": all of it in fractions
and whole numbers.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt

from rct.errors import AllocationError, DataError
from rct.identifiers import listed
from rct.randomization.rosters import Roster
from rct.trial_tables import Design

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)")


@dataclass(frozen=True)
class Covariates:
    """Whole numbers by which allocations are compared.

    Attributes
    ----------
    names
        The covariates; of a categorical one each level but the first ("precinct = rural").
    weights
        Of each, 1 or more.
    values
        (units, covariates), units in byte order.
    unit
        What stands for one: ``values`` are multiples of 1/``unit`` standard deviations.
    """

    names: tuple[str, ...]
    weights: tuple[int, ...]
    values: tuple[tuple[int, ...], ...]
    unit: int


def whole_covariates(roster: Roster, design: Design) -> Covariates:
    """Read the covariates of a restricted randomization, standardize and round them.

    A randomized unit's value is the mean over its measured units.

    Raises
    ------
    DataError
        For a value that is no plain decimal number, or a level that varies within a randomized unit.
    AllocationError
        For a covariate that is the same in every unit, or points that are not whole.
    """
    rule = design.randomization
    points = rule.metric == "points"
    unit = 1 if points else 10**rule.decimals
    named: dict[str, list[int]] = {}
    weights = []
    for column in rule.covariates:
        if column in rule.categorical:
            exact = _levels(roster, design.units.randomize, column)
        else:
            exact = {column: _means(roster, design.units.randomize, column)}
        for name, values in exact.items():
            named[name] = _whole(name, values) if points else standardized(values, unit=unit, name=name)
            weights.append(rule.weights.get(column, 1))
    return Covariates(tuple(named), tuple(weights), tuple(zip(*named.values(), strict=True)), unit)


def standardized(values: Sequence[Fraction], *, unit: int, name: str) -> list[int]:
    """Give unit·(x − mean)/sd, the sd with n − 1, rounded to whole numbers, halves away from zero.

    Exact: with q = (unit·(x − mean)/sd)², a fraction, the rounded root is ⌊(⌊√(4q)⌋ + 1)/2⌋.

    Raises
    ------
    AllocationError
        When all values are the same.
    """
    mean = sum(values, Fraction(0)) / len(values)
    squares = sum(((value - mean) ** 2 for value in values), Fraction(0))
    if squares == 0:
        raise AllocationError(f"the covariate {name} is the same in every unit; leave it out")
    scale = Fraction(4 * unit**2 * (len(values) - 1)) / squares
    rounded = [(isqrt(int(scale * (value - mean) ** 2)) + 1) // 2 for value in values]
    return [whole if value > mean else -whole for whole, value in zip(rounded, values, strict=True)]


def decimal_number(text: str) -> Fraction | None:
    """Read a plain decimal number exactly; None for anything else."""
    return Fraction(text) if NUMBER.fullmatch(text) else None


def _means(roster: Roster, randomized: str, column: str) -> list[Fraction]:
    texts = roster.frame[column].tolist()
    odd = [f'"{text}"' for text in texts if decimal_number(text) is None]
    if odd:
        raise DataError(
            f"roster column {column}: {listed(odd)} is no plain decimal number; complete the column before "
            "randomizing, or name it under randomization.categorical"
        )
    found: dict[str, list[Fraction]] = {unit: [] for unit in roster.blocks}
    for unit, text in zip(roster.frame[randomized].tolist(), texts, strict=True):
        found[unit].append(Fraction(text))
    return [sum(values, Fraction(0)) / len(values) for values in found.values()]


def _levels(roster: Roster, randomized: str, column: str) -> dict[str, list[Fraction]]:
    own = _single_levels(roster, randomized, column)
    levels = sorted(set(own.values()))
    if len(levels) == 1:
        raise AllocationError(f"the covariate {column} is the same in every unit; leave it out")
    return {
        f"{column} = {level}": [Fraction(int(own[unit] == level)) for unit in roster.blocks]
        for level in levels[1:]
    }


def _single_levels(roster: Roster, randomized: str, column: str) -> Mapping[str, str]:
    own: dict[str, str] = {}
    pairs = zip(roster.frame[randomized].tolist(), roster.frame[column].tolist(), strict=True)
    for unit, level in pairs:
        if own.setdefault(unit, level) != level:
            raise DataError(
                f"roster column {column}: {unit} has the levels {own[unit]} and {level}; a categorical "
                f"covariate has one level in all rows of a {randomized}"
            )
    return own


def _whole(name: str, values: Sequence[Fraction]) -> list[int]:
    if any(value.denominator != 1 for value in values):
        raise AllocationError(f'{name}: metric = "points" takes whole numbers, as the roster has them')
    return [int(value) for value in values]
