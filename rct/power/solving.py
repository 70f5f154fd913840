"""Finding the one quantity that a planner left out."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any, TypeVar, get_args

from rct.errors import RctError
from rct.power.linearized_gls import observed_clusters

Answer = TypeVar("Answer")


def only_unknown(**candidates: object) -> str:
    """Give the name of the one quantity left as None.

    Raises
    ------
    RctError
        If none or several are None.
    """
    unknown = [name for name, value in candidates.items() if value is None]
    if len(unknown) != 1:
        raise RctError(f"leave exactly one of {', '.join(candidates)} as None: that one is solved")
    return unknown[0]


def check_positive(**values: float | None) -> None:
    """Refuse a number that is not positive and finite; None, a quantity to solve, passes."""
    import math

    for name, value in values.items():
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise RctError(f"{name} must be a positive number, not {value}")


def check_finite(**values: float | None) -> None:
    """Refuse what is no number or infinite; None, a quantity to solve, passes."""
    import math

    for name, value in values.items():
        if value is not None and not math.isfinite(value):
            raise RctError(f"{name} must be a finite number, not {value}")


def check_not_negative(**values: float | None) -> None:
    """Refuse a number that is negative, infinite or none."""
    check_finite(**values)
    for name, value in values.items():
        if value is not None and value < 0:
            raise RctError(f"{name} may not be negative, and is {value}")


def check_count(**values: int) -> None:
    """Refuse what is not a whole number, 1 or more."""
    for name, value in values.items():
        if not (value >= 1 and value == int(value)):
            raise RctError(f"{name} must be a whole number, 1 or more, not {value}")


def check_choice(name: str, value: object, choices: object) -> None:
    """Refuse a value that is none of a Literal's."""
    if value not in get_args(choices):
        raise RctError(f"{name} is one of {', '.join(map(repr, get_args(choices)))}, not {value!r}")


def check_autocorrelations(**values: float) -> None:
    """Refuse a cac or an iac outside [0, 1]."""
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise RctError(f"{name} must lie between 0 and 1, not {value}")


def check_levels(alpha: float, power: float | None) -> None:
    """Refuse an alpha outside (0, 1) and a wanted power that is not between alpha and 1."""
    if not 0 < alpha < 1 or (power is not None and not alpha < power < 1):
        raise RctError(f"alpha must lie in (0, 1) and power between alpha and 1, not {alpha} and {power}")


def first_crossing(gap: Callable[[float], float], low: float, high: float, steps: int = 200) -> float | None:
    """Find where `gap` first rises through zero; None where it does not on a grid of `steps`.

    The first crossing, for power may fall again: a decrease empties the treated group. A gap that is not a
    number, as of a noncentral t far out, counts as no crossing.
    """
    from scipy.optimize import brentq

    grid = (low + (high - low) * step / steps for step in range(steps + 1))
    values = ((at, gap(at)) for at in grid)
    for (left, below), (right, above) in pairwise(values):
        if below < 0 <= above:
            return float(brentq(gap, left, right, xtol=1e-13, rtol=1e-13))
    return None


def reach(
    at: Callable[[float], Answer], power: Callable[[Answer], float], wanted: float, low: float, high: float
) -> Answer | None:
    """Give the answer at the smallest quantity between `low` and `high` that has the wanted power.

    Searched on the log scale; the answer at `low` itself where that has power enough; None where no
    quantity has.
    """
    import math

    if power(at(low)) >= wanted:
        return at(low)
    found = first_crossing(lambda log: power(at(math.exp(log))) - wanted, math.log(low), math.log(high))
    return None if found is None else at(math.exp(found))


C = TypeVar("C", bound=Any)


def with_cluster_df(given: C) -> C:
    """Fill in clusters − 2 degrees of freedom where none were given."""
    if not math.isnan(given.df):
        return given
    return replace(given, df=float(given.copies * observed_clusters(given.design) - 2))


def fewest_copies(given: Any) -> int:
    """Give the number of copies of a design from which on its test has degrees of freedom."""
    if given.distribution == "normal" or not math.isnan(given.df):
        return 1
    return 2 // observed_clusters(given.design) + 1


def smallest_copies(
    at: Callable[[int], Answer], power: Callable[[Answer], float], wanted: float, first: int = 1
) -> Answer:
    """Give the answer at the smallest whole number from `first` that has the wanted power.

    Raises
    ------
    RctError
        If a thousand million are not enough.
    """
    least, most = first - 1, first
    while power(at(most)) < wanted:
        least, most = most, 2 * most
        if most > 1_000_000_000:
            raise RctError(f"no number of clusters below 1e9 reaches power {wanted:g}")
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (least, middle) if power(at(middle)) >= wanted else (middle, most)
    return at(most)


def whole(copies: int | None) -> int:
    """Check a number of copies of a design; 1 where it is to be solved."""
    if copies is not None and not (copies >= 1 and copies == int(copies)):
        raise RctError(f"copies is a whole number of clusters for each row, not {copies}")
    return 1 if copies is None else int(copies)
