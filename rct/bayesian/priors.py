"""The prior of each term of a model: what may be asked for, and what is used where nothing is asked."""

import math
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from rct.errors import EstimationError

Prior = dict[str, list[float]]
Priors = dict[str, Prior | bool]

# The distributions of each term, with the names of their numbers.
DISTRIBUTIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "effect": {"normal": ("mean", "sd")},
    "intercept": {"normal": ("mean", "sd")},
    "block": {"zero-sum-normal": ("sd",)},
    "period": {"zero-sum-normal": ("sd",), "random-walk": ("sd",)},
    "heterogeneity": {"gamma": ("shape", "rate")},
    "cluster_sd": {"half-normal": ("sd",)},
    "cluster_period_sd": {"half-normal": ("sd",)},
    "effect_given": {"normal": ("mean", "sd")},
    "intercept_given": {"normal": ("mean", "sd")},
    "period_given": {"zero-sum-normal": ("sd",), "random-walk": ("sd",)},
    "cluster_correlation": {"lkj": ("shape",)},
    "fading": {"gamma": ("shape", "rate")},
    "dose_share": {"dirichlet": ("concentration",)},
    "dispersion": {"gamma": ("shape", "rate")},
    "zero_share": {"beta": ("a", "b")},
    "agency_sd": {"half-normal": ("sd",)},
}

# The period effects have a wide, fixed scale: shrunk towards each other, they leave the secular trend to
# the treatment effect, which in a stepped wedge comes late by design.
DEFAULTS: Priors = {
    "effect": {"normal": [0.0, 0.5]},
    "intercept": {"normal": [-3.0, 3.0]},
    "block": {"zero-sum-normal": [1.0]},
    "period": {"zero-sum-normal": [2.0]},
    "heterogeneity": {"gamma": [2.0, 2.0]},
    "cluster_sd": {"half-normal": [0.3]},
    "cluster_period_sd": {"half-normal": [0.3]},
    "effect_given": {"normal": [0.0, 0.3]},
    "intercept_given": {"normal": [-1.5, 0.7]},
    "period_given": {"zero-sum-normal": [1.0]},
    "cluster_correlation": {"lkj": [2.0]},
    "fading": {"gamma": [4.0, 40.0]},
    "dose_share": {"dirichlet": [1.0]},
    "dispersion": {"gamma": [2.0, 2.0]},
    "zero_share": {"beta": [1.0, 9.0]},
    "agency_sd": {"half-normal": [0.5]},
}
INDISPENSABLE = (
    "effect", "intercept", "effect_given", "intercept_given", "fading", "dose_share", "dispersion",
    "zero_share", "agency_sd",
)  # fmt: skip


def effect_prior(priors: Mapping[str, Any], place: int) -> tuple[float, float]:
    """Give mean and standard deviation of the normal prior of an outcome's effect.

    That of an injury, any outcome but the first of the model "joint", is the sum of the effects on force and
    on injury given force.
    """
    mean, sd = priors["effect"]["normal"]
    if place == 0 or "effect_given" not in priors:
        return float(mean), float(sd)
    mean_given, sd_given = priors["effect_given"]["normal"]
    return float(mean + mean_given), math.hypot(sd, sd_given)


def complete_priors(
    asked: Mapping[str, object] | None,
    *,
    terms: Sequence[str],
    impossible: Mapping[str, str],
    defaults: Mapping[str, Prior | bool] | None = None,
) -> Priors:
    """Fill in the defaults.

    Parameters
    ----------
    asked
        Priors by term, ``{"effect": {"normal": [0, 0.5]}}``; False leaves the term out.
    terms
        The terms of the model.
    impossible
        Terms that this panel cannot have, with the reason. They are left out, unless they were asked for.
    defaults
        Defaults of this model where they differ from the term's.

    Raises
    ------
    EstimationError
        For an unknown term or distribution, for numbers that the distribution does not take, and for a
        prior of a term that this panel cannot have.
    """
    asked = dict(asked or {})
    for term in asked:
        if term not in terms:
            raise EstimationError(f"priors: no term is named {term!r}{_nearest(term, terms)}")
    used: Priors = {}
    standard = DEFAULTS | dict(defaults or {})
    for term in terms:
        prior = _checked(term, asked[term]) if term in asked else standard[term]
        if term in impossible:
            if term in asked and prior is not False:
                raise EstimationError(
                    f"priors: {term} has a prior, but {impossible[term]}. Write {term} = false."
                )
            prior = False
        used[term] = prior
    return used


def _checked(term: str, prior: object) -> Prior | bool:
    if prior is False:
        if term in INDISPENSABLE:
            raise EstimationError(f"priors: {term} cannot be left out of the model.")
        return False
    return checked_prior(term, prior, DISTRIBUTIONS)


def checked_prior(
    term: str, prior: object, distributions: Mapping[str, Mapping[str, tuple[str, ...]]]
) -> Prior:
    """Check one prior against the terms and distributions that a model knows.

    Raises
    ------
    EstimationError
    """
    if term not in distributions:
        raise EstimationError(f"priors: no term is named {term!r}{_nearest(term, distributions)}")
    known = distributions[term]
    if not isinstance(prior, Mapping) or len(prior) != 1:
        example = f'{{"{next(iter(known))}": [{", ".join(next(iter(known.values())))}]}}'
        raise EstimationError(
            f"priors: {term} = {prior!r} is not one distribution with its numbers, such as {example}."
        )
    ((name, numbers),) = prior.items()
    if name not in known:
        raise EstimationError(f"priors: {term} has no distribution {name!r}{_nearest(str(name), known)}")
    return {name: _numbers(term, name, numbers, known[name])}


def _numbers(term: str, name: str, numbers: object, wanted: tuple[str, ...]) -> list[float]:
    given = list(numbers) if isinstance(numbers, Sequence) and not isinstance(numbers, str) else [numbers]
    taken = [float(x) for x in given if isinstance(x, (int, float)) and not isinstance(x, bool)]
    if not len(taken) == len(given) == len(wanted) or not all(map(math.isfinite, taken)):
        raise EstimationError(f"priors: {term}, {name} takes [{', '.join(wanted)}], not {numbers!r}.")
    for label, number in zip(wanted, taken, strict=True):
        if label != "mean" and number <= 0:
            raise EstimationError(f"priors: {term}, {name}: {label} must be above 0, not {number:g}.")
    return taken


def _nearest(word: str, known: Iterable[str]) -> str:
    close = get_close_matches(word, list(known), n=1)
    meant = f" (did you mean {close[0]!r}?)" if close else ""
    return f"{meant}. There are: {', '.join(known)}."
