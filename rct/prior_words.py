"""Priors in words and percent: the central 95 % of each."""

import math
from collections.abc import Callable
from typing import Any

# How sharply the link of injuries given force turns from the logarithm to certainty, in the model "joint".
LINK_BEND = 8.0


def in_words(term: str, prior: Any) -> str:
    """Say what the prior of a term means, in percent where it can be said so."""
    if prior is False:
        return f"{term}: not in the model"
    ((distribution, numbers),) = prior.items()
    written = f"{term}, {distribution}({', '.join(f'{number:g}' for number in numbers)})"
    words = PRIOR_WORDS.get(term) or PRIOR_WORDS[distribution]
    return f"{written}: {words(*numbers)}"


def _percent_range(mean: float, sd: float) -> str:
    low, high = (100 * math.expm1(mean + side * 1.96 * sd) for side in (-1, 1))
    return f"{low:+.0f} % to {high:+.0f} %"


def _of_effect(mean: float, sd: float) -> str:
    reduction = 50 * math.erfc(mean / sd / math.sqrt(2))
    return f"95 % from {_percent_range(mean, sd)}; a reduction has probability {reduction:.0f} %"


def _of_intercept(mean: float, sd: float) -> str:
    low, high = (math.exp(mean + side * 1.96 * sd) for side in (-1, 1))
    return f"95 % from {low:.2g} to {high:.3g} events per unit of exposure"


def _of_heterogeneity(shape: float, rate: float) -> str:
    mean = shape / rate
    return (
        f"mean {mean:g}; units then differ by {100 / math.sqrt(mean):.0f} % of the average "
        "(standard deviation between units)"
    )


def _of_sd(sd: float) -> str:
    spread = _percent_range(0, 1.96 * sd)
    return f"95 % of standard deviations below {1.96 * sd:.2g}, rates then {spread}"


def _of_period(sd: float) -> str:
    return f"standard deviation {sd:g} of the log rate between periods ({_percent_range(0, sd)} at 95 %)"


def _of_block(sd: float) -> str:
    return f"standard deviation {sd:g} of the log rate between blocks ({_percent_range(0, sd)} at 95 %)"


def _of_walk(sd: float) -> str:
    return f"from one period to the next, 95 % from {_percent_range(0, sd)}"


def _of_log_share(mean: float, sd: float) -> str:
    low, middle, high = (100 * _bent(mean + side * 1.96 * sd) for side in (-1, 0, 1))
    return f"injury in {middle:.0f} % of force incidents (95 % from {low:.0f} % to {high:.0f} %)"


def _bent(nu: float) -> float:
    """Give (1 + exp(-k nu)) ** (-1 / k), the probability of injury given force."""
    return math.exp(min(nu, 0) - math.log1p(math.exp(-LINK_BEND * abs(nu))) / LINK_BEND)


def _of_correlation(shape: float) -> str:
    return (
        "correlations of divisions' effects centred at 0; of three outcomes each has standard deviation "
        f"{1 / math.sqrt(2 * shape + 2):.2g}"
    )


def _of_fading(shape: float, rate: float) -> str:
    mean = shape / rate
    return (
        f"the effect loses {-100 * math.expm1(-mean):.0f} % of itself per period on average, "
        f"half in {math.log(2) / mean:.2g} periods"
    )


def _of_dose_share(concentration: float) -> str:
    return f"a step from dose to dose is any part of the whole effect (concentration {concentration:g})"


def _of_zero_share(a: float, b: float) -> str:
    return f"{100 * a / (a + b):.0f} % of unit-periods are surplus zeros on average"


# By term, or by distribution where a term may have several.
PRIOR_WORDS: dict[str, Callable[..., str]] = {
    "effect": _of_effect,
    "intercept": _of_intercept,
    "block": _of_block,
    "zero-sum-normal": _of_period,
    "random-walk": _of_walk,
    "heterogeneity": _of_heterogeneity,
    "agency_sd": _of_sd,
    "cluster_sd": _of_sd,
    "cluster_period_sd": _of_sd,
    "effect_given": _of_effect,
    "intercept_given": _of_log_share,
    "cluster_correlation": _of_correlation,
    "fading": _of_fading,
    "dose_share": _of_dose_share,
    "dispersion": _of_heterogeneity,
    "zero_share": _of_zero_share,
}
