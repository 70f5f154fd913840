"""Adjustment of p-values for several outcomes."""

from dataclasses import replace
from typing import Literal

from rct.estimates import Estimate, Estimates


def adjust(estimates: Estimates, *, method: Literal["holm"] = "holm") -> Estimates:
    """Adjust p-values over the outcomes, effect by effect.

    Rows of the same term, arm, event time and exposure time form a family, one row an outcome. Rows without
    a p-value stay as they are.

    Parameters
    ----------
    estimates : Estimates
    method : {"holm"}
        Holm 1979: the i-th smallest of m p-values times m − i + 1, made monotone and at most one. Valid
        whatever the dependence between the outcomes.

    Returns
    -------
    Estimates
        The same rows with `p_adjusted`.
    """
    families: dict[tuple[str, str, str, str], list[int]] = {}
    for number, row in enumerate(estimates):
        if row.p_value == row.p_value:
            families.setdefault(_family(row), []).append(number)
    rows = list(estimates)
    for members in families.values():
        adjusted = METHODS[method]([rows[number].p_value for number in members])
        for number, p in zip(members, adjusted, strict=True):
            rows[number] = replace(rows[number], p_adjusted=p)
    return replace(estimates, rows=tuple(rows))


def holm(p_values: list[float]) -> list[float]:
    """Give Holm's adjusted p-values, in the order given."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for place, number in enumerate(order):
        running = max(running, (len(p_values) - place) * p_values[number])
        adjusted[number] = min(1.0, running)
    return adjusted


METHODS = {"holm": holm}


def _family(row: Estimate) -> tuple[str, str, str, str]:
    return row.term, row.arm, str(row.event_time), str(row.exposure_time)
