"""What statistical significance would exaggerate: type S and type M errors of a design."""

import math
from dataclasses import dataclass

from rct.errors import RctError
from rct.power.solving import check_levels, check_positive


@dataclass(frozen=True, kw_only=True)
class TypeSM:
    """Inputs and answer of `type_s_m`.

    Attributes
    ----------
    power : float
        Both tails counted.
    type_s : float
        Probability that a significant estimate has the wrong sign.
    type_m : float
        Mean factor by which a significant estimate exaggerates.
    """

    effect: float
    std_error: float
    alpha: float
    df: float
    power: float
    type_s: float
    type_m: float


def type_s_m(effect: float, std_error: float, *, alpha: float = 0.05, df: float | None = None) -> TypeSM:
    """Give power, type S error and exaggeration ratio of an estimate around a true effect.

    Gelman & Carlin (2014), where the exaggeration is simulated; closed form of Lu, Qiu & Deng (2019): with
    l the absolute effect / std_error and z the critical value, type S = Φ(−z − l)/power and type M =
    [φ(z − l) + φ(z + l) + l (Φ(l − z) − Φ(−z − l))]/(l power). With `df` the estimate is effect + std_error
    times a central t and z the t quantile (their ``retrodesign``: the standard error is known, this is no
    noncentral t).

    Parameters
    ----------
    effect : float
        True effect, of any sign but not 0.
    std_error : float
    alpha : float
        Two-sided.
    df : float, optional
        Above 1.

    Raises
    ------
    RctError
        If the effect is 0 or an argument is out of range.
    """
    from scipy.special import ndtr, ndtri, stdtr, stdtrit

    check_positive(std_error=std_error)
    check_levels(alpha, None)
    if effect == 0 or not math.isfinite(effect):
        raise RctError("type S and M errors are of an effect: it may not be 0")
    if df is not None and not df > 1:
        raise RctError(f"the mean of a t needs more than 1 degree of freedom, not {df}")
    signal = abs(effect) / std_error
    if df is None:
        critical = float(-ndtri(alpha / 2))
        right, wrong = float(ndtr(signal - critical)), float(ndtr(-signal - critical))
        tails = sum(math.exp(-((critical + s * signal) ** 2) / 2) for s in (-1, 1)) / math.sqrt(2 * math.pi)
    else:
        critical = float(-stdtrit(df, alpha / 2))
        right, wrong = float(stdtr(df, signal - critical)), float(stdtr(df, -signal - critical))
        tails = sum(_partial_mean(critical + s * signal, df) for s in (-1, 1))
    power = right + wrong
    return TypeSM(
        effect=effect, std_error=std_error, alpha=alpha, df=math.inf if df is None else df, power=power,
        type_s=wrong / power, type_m=(tails + signal * (right - wrong)) / (signal * power),
    )  # fmt: skip


def _partial_mean(c: float, df: float) -> float:
    """Give ∫ x f(x) dx from c to infinity for the t density f: (df + c²)/(df − 1) f(c)."""
    from scipy.special import gammaln

    log_density = (
        gammaln((df + 1) / 2) - gammaln(df / 2) - math.log(df * math.pi) / 2
        - (df + 1) / 2 * math.log1p(c**2 / df)
    )  # fmt: skip
    return float((df + c**2) / (df - 1) * math.exp(log_density))
