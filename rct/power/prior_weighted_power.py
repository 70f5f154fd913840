"""Assurance in closed form: power averaged over what is believed about the effect."""

import math
from dataclasses import dataclass, replace

import numpy as np

from rct.errors import RctError
from rct.power.solving import check_choice, check_finite, check_levels, check_positive, only_unknown, reach
from rct.power.two_rates import Side, rates


@dataclass(frozen=True, kw_only=True)
class NormalAssurance:
    """Inputs and answer of `normal_assurance`.

    Attributes
    ----------
    variance : float
        Of the estimate: unit_variance / n.
    assurance : float
        Probability of a significant result on `side`.
    any_significant : float
        … of a significant result on either side.
    power_at_mean : float
        Power at the prior mean, both tails.
    ceiling : float
        Prior probability that the effect lies on `side`: what assurance tends to as the study grows.
    """

    prior_mean: float
    prior_sd: float
    unit_variance: float
    n: float
    alpha: float
    side: Side
    variance: float
    assurance: float
    any_significant: float
    power_at_mean: float
    ceiling: float
    solved: str


def normal_assurance(
    *,
    prior_mean: float,
    prior_sd: float,
    unit_variance: float,
    n: float | None = 1.0,
    assurance: float | None = None,
    alpha: float = 0.05,
    side: Side = "decrease",
) -> NormalAssurance:
    """Solve for the assurance, or the size, of a study with a normal estimate and a normal design prior.

    O'Hagan, Stevens & Campbell (2005): effect ~ N(m, s²), estimate ~ N(effect, v), two-sided z test at alpha;
    a significant decrease has probability Φ((−z √v − m)/√(v + s²)).

    Parameters
    ----------
    prior_mean, prior_sd : float
        Of the effect, the log incidence rate ratio say.
    unit_variance : float
        Variance of the estimate times n; the variance itself where n is 1.
    n : float, optional
        Size of the study. Leave exactly one of `n`, `assurance` as None; a solved n is a real number.
    assurance : float, optional
        Wanted.
    alpha : float
        Two-sided.
    side : {"decrease", "increase"}

    Raises
    ------
    RctError
        If not exactly one quantity is left to solve, an argument is out of range, or the wanted assurance
        is above the prior probability that the effect lies on that side.
    """
    from scipy.special import ndtr

    solved = only_unknown(n=n, assurance=assurance)
    check_choice("side", side, Side)
    check_finite(prior_mean=prior_mean)
    check_positive(prior_sd=prior_sd, unit_variance=unit_variance, n=n)
    check_levels(alpha, None)
    ceiling = float(ndtr(_signed(prior_mean, side) / prior_sd))
    given = NormalAssurance(
        prior_mean=prior_mean, prior_sd=prior_sd, unit_variance=unit_variance, n=n or math.nan, alpha=alpha,
        side=side, variance=math.nan, assurance=math.nan, any_significant=math.nan, power_at_mean=math.nan,
        ceiling=ceiling, solved=solved,
    )  # fmt: skip
    if assurance is None:
        return _filled(given)
    found = None
    if 0 < assurance < ceiling:
        found = reach(
            lambda n: replace(given, n=n), lambda x: _filled(x).assurance, assurance,
            low=1e-6 * unit_variance / prior_sd**2, high=1e14 * unit_variance / prior_sd**2,
        )  # fmt: skip
    if found is None:
        raise RctError(
            f"no size of study gives assurance {assurance:g}: the prior probability of a {side} is "
            f"{ceiling:.4g}"
        )
    return _filled(found)


def rates_assurance(
    *,
    prior_mean: float,
    prior_sd: float,
    rate: float,
    n: float,
    n_control: float | None = None,
    exposure: float = 1.0,
    dispersion: float = 0.0,
    alpha: float = 0.05,
    side: Side = "decrease",
) -> float:
    """Give the probability of a significant change of two compared rates under a prior of the log ratio.

    Power of the Wald test of `rates` towards `side`, one tail at alpha / 2, averaged over
    log ratio ~ N(prior_mean, prior_sd²) by Gauss–Legendre quadrature; the variance follows the drawn ratio.

    Parameters
    ----------
    prior_mean, prior_sd : float
        Of the log incidence rate ratio.
    rate, n, n_control, exposure, dispersion
        As in `rates`.
    alpha : float
        Two-sided.
    side : {"decrease", "increase"}

    Raises
    ------
    RctError
        If an argument is out of range.
    """
    check_choice("side", side, Side)
    check_finite(prior_mean=prior_mean)
    check_positive(prior_sd=prior_sd)
    check_levels(alpha, None)
    x, w = np.polynomial.legendre.leggauss(96)
    shares = 8.5 * w * np.exp(-((8.5 * x) ** 2) / 2) / math.sqrt(2 * math.pi)
    power = [
        rates(
            rate=rate, ratio=math.exp(prior_mean + prior_sd * at), n=n, n_control=n_control,
            exposure=exposure, dispersion=dispersion, alpha=alpha / 2,
            alternative="smaller" if side == "decrease" else "larger",
        ).power
        for at in 8.5 * x
    ]  # fmt: skip
    return float(np.dot(shares, power))


def posterior_assurance(
    *,
    prior_mean: float,
    prior_sd: float,
    variance: float,
    analysis_mean: float = 0.0,
    analysis_sd: float | None = None,
    probability: float = 0.95,
    side: Side = "decrease",
) -> float:
    """Give the probability that the posterior will show an effect on `side` with the wanted probability.

    Normal–normal with two priors (O'Hagan & Stevens 2001): the effect is drawn from the design prior
    N(m, s²), the estimate from N(effect, v), and analysed under N(m₀, s₀²) or a flat prior. P(effect < 0 | x)
    ≥ p where x v⁻¹ + m₀ s₀⁻² ≤ −z_p √(v⁻¹ + s₀⁻²), and x ~ N(m, v + s²).

    Parameters
    ----------
    prior_mean, prior_sd : float
        Design prior of the effect, the log incidence rate ratio say.
    variance : float
        Of the estimate.
    analysis_mean, analysis_sd : float
        Prior of the analysis; an sd of None: flat.
    probability : float
        That the posterior must give to the side.
    side : {"decrease", "increase"}

    Raises
    ------
    RctError
        If an argument is out of range.
    """
    from scipy.special import ndtr, ndtri

    check_choice("side", side, Side)
    check_finite(prior_mean=prior_mean)
    check_positive(prior_sd=prior_sd, variance=variance, analysis_sd=analysis_sd)
    if not 0 < probability < 1:
        raise RctError(f"probability must lie between 0 and 1, not {probability}")
    weight = 0.0 if analysis_sd is None else 1 / analysis_sd**2
    needed = ndtri(probability) * math.sqrt(1 / variance + weight)
    least = variance * (needed - _signed(analysis_mean, side) * weight)
    return float(ndtr((_signed(prior_mean, side) - least) / math.sqrt(variance + prior_sd**2)))


def _signed(value: float, side: Side) -> float:
    return -value if side == "decrease" else value


def _filled(x: NormalAssurance) -> NormalAssurance:
    from scipy.special import ndtr, ndtri

    variance, z = x.unit_variance / x.n, -ndtri(x.alpha / 2)
    mean, se = _signed(x.prior_mean, x.side), math.sqrt(variance)
    spread = math.sqrt(variance + x.prior_sd**2)
    right, wrong = (float(ndtr((sign * mean - z * se) / spread)) for sign in (1, -1))
    at_mean = float(ndtr(mean / se - z) + ndtr(-mean / se - z))
    return replace(
        x, variance=variance, assurance=right, any_significant=right + wrong, power_at_mean=at_mean
    )
