"""What a Bayesian fit finds beside its effects: how units differ, how an effect fades or comes about."""

import math
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import TYPE_CHECKING, Any

from rct.reporting.number_format import decimal, percent_with_interval, share
from rct.reporting.table import Table

if TYPE_CHECKING:
    import numpy as np

    from rct.posterior import Posterior
    from rct.reporting.report_units import ReportUnits


def parameter_table(posterior: "Posterior", words: "ReportUnits") -> Table | None:
    """Give posterior median and interval of what stands beside the effects; None where there is nothing."""
    rows = [
        (outcome, name, told)
        for outcome in posterior.outcomes
        for name, told in _of_outcome(posterior, outcome, words)
    ]
    if not rows:
        return None
    columns = ("outcome", "what", "posterior")
    caption = (
        "What the model finds beside the effects: posterior median, and the interval that holds "
        f"{100 * posterior.level:g} % of the probability."
    )
    labelled = tuple((words.label(outcome), name, told) for outcome, name, told in rows)
    return Table(caption, columns, labelled, frozenset(columns[2:]))


def _of_outcome(posterior: "Posterior", outcome: str, words: "ReportUnits") -> Iterator[tuple[str, str]]:
    draws = posterior.groups["posterior"]
    place = posterior.outcomes.index(outcome)
    yield from _curve(posterior, outcome)
    if "effect_given" in draws and place:
        given = draws["effect_given"].isel(injury=place - 1)
        yield from _each_arm(posterior, given, "change of the chance of injury given force")
    of = "log chance of injury given force" if "effect_given" in draws and place else "log rate"
    within = f"{of} of {words.randomized_plural}"
    tells: dict[str, tuple[str, Callable[[np.ndarray], str]]] = {
        "half_life": (f"half-life of the effect, {words.period}s", _number(posterior)),
        "heterogeneity": (
            f"rates of {words.measured_plural}: standard deviation as a share of the average",
            _spread(posterior),
        ),
        "dispersion": (
            f"rates of {words.measured}-{words.period}s: standard deviation as a share of the average",
            _spread(posterior),
        ),
        "zero_share": (f"surplus zeros among {words.measured}-{words.period}s", _share(posterior)),
        "cluster_sd": (f"{within}: standard deviation", _number(posterior)),
        "cluster_period_sd": (f"{within} by {words.period}: standard deviation", _number(posterior)),
        "agency_sd": (f"log rate ratios of {words.measured_plural}: standard deviation", _number(posterior)),
    }
    for variable, (name, tell) in tells.items():
        if variable in draws:
            values = draws[variable]
            if "outcome" not in values.dims and place:
                continue  # of force alone
            yield name, tell(_flat(values.isel(outcome=place) if "outcome" in values.dims else values))
    if "cluster_correlation" in draws and not place:
        first, *others = posterior.outcomes
        pairs = combinations(
            [words.label(first), *(f"{words.label(name)} given force" for name in others)], 2
        )
        for (one, other), values in zip(pairs, _last_first(draws["cluster_correlation"]), strict=True):
            yield f"correlation over {words.randomized_plural}: {one} and {other}", _number(posterior)(values)


def _curve(posterior: "Posterior", outcome: str) -> Iterator[tuple[str, str]]:
    """Give the change at each dose, of the model whose effect grows with it in steps of any size."""
    draws = posterior.groups["posterior"]
    if "dose_share" not in draws:
        return
    shares = draws["dose_share"].cumsum("dose")
    if "outcome" in shares.dims:
        shares = shares.isel(outcome=posterior.outcomes.index(outcome))
    effect = posterior.effect_draws(outcome)
    for dose, values in zip(draws["dose"].to_numpy(), _last_first(shares), strict=True):
        yield f"percent change at dose {dose:g}", _change(posterior)(effect * values)


def _each_arm(posterior: "Posterior", values: Any, name: str) -> Iterator[tuple[str, str]]:
    if "arm" not in values.dims:
        yield name, _change(posterior)(_flat(values))
        return
    for arm in posterior.arms:
        yield f"{name}, {arm}", _change(posterior)(_flat(values.sel(arm=arm)))


def _last_first(values: Any) -> "np.ndarray":
    """Give draws by the last dimension, (size, chains × draws)."""
    table = values.to_numpy()
    flat: np.ndarray = table.reshape(-1, table.shape[-1]).T
    return flat


def _flat(values: Any) -> "np.ndarray":
    flat: np.ndarray = values.to_numpy().ravel()
    return flat


def _ends(posterior: "Posterior", values: "np.ndarray") -> tuple[float, float, float]:
    import numpy as np

    middle, low, high = np.quantile(values, [0.5, (1 - posterior.level) / 2, (1 + posterior.level) / 2])
    return float(middle), float(low), float(high)


def _number(posterior: "Posterior") -> "Callable[[np.ndarray], str]":
    return lambda values: "{} ({} to {})".format(*map(decimal, _ends(posterior, values)))


def _share(posterior: "Posterior") -> "Callable[[np.ndarray], str]":
    return lambda values: "{} ({} to {})".format(*map(share, _ends(posterior, values)))


def _spread(posterior: "Posterior") -> "Callable[[np.ndarray], str]":
    return lambda values: _share(posterior)(values**-0.5)


def _change(posterior: "Posterior") -> "Callable[[np.ndarray], str]":
    return lambda values: percent_with_interval(*(100 * math.expm1(end) for end in _ends(posterior, values)))
