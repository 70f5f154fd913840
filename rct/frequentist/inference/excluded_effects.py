"""Equivalence: which effects an estimate excludes. A large p-value of no effect excludes none by itself."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from numbers import Real

from rct.errors import EstimationError
from rct.estimates import NAN, Estimate
from rct.frequentist.asked_options import require_level
from rct.frequentist.inference.wald import wald

CLOSE = 1e-6


@dataclass(frozen=True, kw_only=True)
class Equivalence:
    """Two one-sided tests of an effect against the margins of what is too small to matter.

    low, high : the margins, on the estimate's scale (log ratio, or events per unit-period)
    conf_low, conf_high : interval of level 2 × level − 1; effects outside it are excluded
    p_value : the larger of the two one-sided p-values; NaN where the interval comes from an inverted test
    equivalent : whether the interval lies within the margins
    """

    estimate: Estimate
    low: float
    high: float
    level: float
    conf_low: float
    conf_high: float
    p_value: float
    equivalent: bool

    def summary(self) -> str:
        """Say what is excluded and what is not."""
        lowest, highest = replace(
            self.estimate, conf_low=self.conf_low, conf_high=self.conf_high
        ).percent_interval
        low, high = replace(self.estimate, conf_low=self.low, conf_high=self.high).percent_interval
        verdict = "lies within" if self.equivalent else "does not lie within"
        return (
            f"{self.estimate.outcome}, {self.estimate.term}: changes below {lowest:+.1f} % and above"
            f" {highest:+.1f} % are excluded ({100 * self.level:g} % one-sided tests); the effect {verdict}"
            f" {low:+.1f} to {high:+.1f} %"
        )


def equivalence(
    estimate: Estimate, *, margin: float | tuple[float, float], level: float = 0.95
) -> Equivalence:
    """Test whether an effect is smaller than a margin, in both directions.

    Parameters
    ----------
    estimate : Estimate
    margin : float or (float, float)
        On the ratio scale two ratios, or one of them: 0.9 means 0.9 to 1/0.9. On the difference scale two
        differences in events per unit-period, or one: 0.01 means −0.01 to 0.01. Fix it before seeing data.
    level : float
        Of each one-sided test; the interval that belongs to both has level 2 × level − 1.

    Returns
    -------
    Equivalence

    Raises
    ------
    EstimationError
        Margins without the null value between them; or an estimate whose interval comes from an inverted
        test of another level.

    Notes
    -----
    Two one-sided tests (Schuirmann 1987): both reject exactly where the interval lies within the margins.
    """
    _require_estimate(estimate)
    require_level(level)
    if not level > 0.5:
        raise EstimationError(f"level of a one-sided test lies between 0.5 and 1, not {level}")
    low, high = _margins(estimate, margin)
    inner = 2 * level - 1
    conf_low, conf_high, p_value = _interval(estimate, inner, low, high)
    inside = low < conf_low and conf_high < high
    return Equivalence(
        estimate=estimate, low=low, high=high, level=level, conf_low=conf_low, conf_high=conf_high,
        p_value=p_value, equivalent=inside,
    )  # fmt: skip


def _require_estimate(estimate: object) -> None:
    if not isinstance(estimate, Estimate):
        raise EstimationError(
            f"equivalence is of one Estimate, not of {type(estimate).__name__}: take one of its rows"
        )


def _margins(estimate: Estimate, margin: float | tuple[float, float]) -> tuple[float, float]:
    ratio = estimate.scale == "log"
    pair = margin if isinstance(margin, tuple | list) else (margin,)
    if len(pair) > 2 or not all(isinstance(bound, Real) for bound in pair) or not pair:
        raise EstimationError(f"margin is one number or two, (0.9, 1.1) say, not {margin!r}")
    low, high = pair[0], pair[-1]
    if len(pair) == 1 and ratio:
        low, high = sorted((low, 1 / low)) if low > 0 else (0.0, 0.0)
    elif len(pair) == 1:
        low, high = -abs(low), abs(low)
    null = 1.0 if ratio else 0.0
    if not low < null < high or (ratio and low <= 0):
        raise EstimationError(
            f"margin={margin}: no effect ({null:g}) must lie between the margins"
            + (", which are ratios above zero" if ratio else "")
        )
    return (math.log(low), math.log(high)) if ratio else (low, high)


def _interval(estimate: Estimate, level: float, low: float, high: float) -> tuple[float, float, float]:
    own = wald(estimate.estimate, estimate.std_error, estimate.df, estimate.level)
    if math.isclose(own[0], estimate.conf_low, rel_tol=CLOSE, abs_tol=1e-12):
        limits = wald(estimate.estimate, estimate.std_error, estimate.df, level)[:2]
        tails = [
            _upper_tail(side * (estimate.estimate - bound), estimate)
            for side, bound in ((1, low), (-1, high))
        ]
        return *limits, max(tails)
    if math.isnan(estimate.conf_low):
        raise EstimationError(
            f"the estimate of {estimate.outcome} has no interval ({estimate.inference}), so no effect is"
            ' excluded; use an estimate with one, such as statistic="score" of a randomization test'
        )
    if not math.isclose(estimate.level, level, abs_tol=1e-9):
        raise EstimationError(
            f"the interval of {estimate.outcome} has level {estimate.level:g} and does not come from a"
            f" standard error: estimate it again with level={level:g}"
        )
    return estimate.conf_low, estimate.conf_high, NAN


def _upper_tail(distance: float, estimate: Estimate) -> float:
    """One-sided p-value of a distance above zero."""
    two_sided = wald(abs(distance), estimate.std_error, estimate.df, 0.5)[2]
    return two_sided / 2 if distance > 0 else 1 - two_sided / 2
