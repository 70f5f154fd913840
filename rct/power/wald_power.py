"""The probability that a Wald test rejects: normal, noncentral t, shifted t; one tail or two."""

from typing import Literal

from rct.errors import RctError
from rct.power.solving import check_choice, check_finite, check_levels

Distribution = Literal["normal", "noncentral-t", "shifted-t"]
Alternative = Literal["two-sided", "smaller", "larger"]


def rejection_probability(
    signal: float,
    *,
    alpha: float = 0.05,
    sides: Literal[1, 2] = 2,
    far_tail: bool = True,
    distribution: Distribution = "normal",
    df: float | None = None,
    null_spread: float = 1.0,
) -> float:
    """Give the power of a test that rejects when estimate / standard error passes a critical value.

    normal: Φ(s − c) + Φ(−s − c), c = z r; noncentral-t: 1 − F(t; df, s) + F(−t; df, s), exact where the
    variance is estimated with df independent of the estimate (cluster means in two arms: clusters − 2);
    shifted-t: T(s − t) + T(−s − t) with a central t (Li, Turner & Preisser 2018; SteppedPower), which lies
    below it. t and z are the upper alpha / sides points.

    Parameters
    ----------
    signal : float
        s, effect over its standard error under the alternative; positive where the effect lies on the tested
        side (always its absolute value in a two-sided test).
    alpha : float
        Level of the whole test.
    sides : {1, 2}
    far_tail : bool
        Count rejections on the wrong side too (statsmodels, pwr, swCRTdesign do; textbook formulas for n
        and R's ``power.t.test`` do not).
    distribution : {"normal", "noncentral-t", "shifted-t"}
    df : float, optional
        Degrees of freedom; needed by both t.
    null_spread : float
        r, the standard error under the null over that under the alternative (normal only).
    """
    from scipy.special import ndtr, ndtri

    check_choice("distribution", distribution, Distribution)
    check_choice("sides", sides, Literal[1, 2])
    check_finite(signal=signal)
    check_levels(alpha, None)
    signal = abs(signal) if sides == 2 else signal
    if distribution == "normal":
        critical = -ndtri(alpha / sides) * null_spread
        near, far = float(ndtr(signal - critical)), float(ndtr(-signal - critical))
    else:
        near, far = _of_t(signal, alpha / sides, distribution, df)
    return float(near + far) if sides == 2 and far_tail else float(near)


def _of_t(signal: float, tail: float, distribution: Distribution, df: float | None) -> tuple[float, float]:
    from scipy.special import stdtr, stdtrit

    if df is None or not df > 0:
        raise RctError(
            f"a t test needs degrees of freedom above 0, not {df}: three clusters or more, or the normal"
        )
    critical = float(-stdtrit(df, tail))
    if distribution == "shifted-t":
        return float(stdtr(df, signal - critical)), float(stdtr(df, -signal - critical))
    return _noncentral(signal, critical, df)


def _noncentral(signal: float, critical: float, df: float) -> tuple[float, float]:
    """Give both tails; scipy's far one is not a number for large signals, and its near one then 1."""
    import numpy as np
    from scipy.stats import nct

    with np.errstate(all="ignore"):
        near, far = float(nct.sf(critical, df, signal)), float(nct.cdf(-critical, df, signal))
    if np.isnan(near):
        near = 1.0 if signal > critical else 0.0
    return near, 0.0 if np.isnan(far) else far
