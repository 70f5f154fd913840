"""The log rate that the models of officers share: intercept, periods, blocks, clusters and the effect."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rct.bayesian.count_rows import CountRows
from rct.bayesian.model_inputs import Inputs, numbers
from rct.bayesian.priors import Priors
from rct.bayesian.totals import Totals, stack_outcomes, unit_totals

TERMS = ("effect", "intercept", "block", "period", "cluster_sd", "cluster_period_sd")
GROUPED = {"cluster": ("cluster_name",), "cluster_period": ("cluster_name", "period_number")}


def outcome_totals(
    rows: CountRows, priors: Priors, *, extra: tuple[str, ...] = (), cells: bool = False
) -> Totals:
    """Add up the rows of every outcome, with the marks that the log rate needs.

    Parameters
    ----------
    extra
        Columns of the rows that are further marks.
    cells
        Whether to add up single unit-periods too.
    """
    grouped = bool(priors["cluster_sd"] or priors["cluster_period_sd"])
    blocked = bool(priors["block"] or rows.blocked_periods)
    each = []
    for one in rows.rows.values():
        treated, arm = one["treated"].to_numpy(float), one["arm"].to_numpy()
        marks = {f"dose_{a}": np.where(arm == name, treated, 0.0) for a, name in enumerate(rows.arms)}
        marks["cluster"] = _index(one["cluster"], rows.clusters) if grouped else np.zeros(len(one), np.int64)
        marks["block"] = _index(one["block"], rows.blocks) if blocked else np.zeros(len(one), np.int64)
        marks |= {name: one[name].to_numpy() for name in extra}
        each.append(unit_totals(one, periods=np.array(rows.periods), marks=marks, cells=cells))
    return stack_outcomes(each)


def _index(values: Any, labels: list[str]) -> NDArray[np.int64]:
    place = {label: index for index, label in enumerate(labels)}
    return values.astype(str).map(place).to_numpy(np.int64)


def log_rate(inputs: Inputs, change: Callable[[int, Any], Any] | None = None) -> Any:
    """Declare the terms and give the log rate per unit of exposure, (outcomes, paths, periods).

    Parameters
    ----------
    change
        Function of the arm's place and its effect, (outcomes, 1, 1), that gives the change of the log rate,
        (outcomes, paths, periods); by default the effect times the arm's dose.
    """
    return untreated_log_rate(inputs) + change_of_log_rate(inputs, effect_by_arm(inputs), change)


def change_of_log_rate(inputs: Inputs, effects: Any, change: Callable[[int, Any], Any] | None = None) -> Any:
    """Give what the effects, (outcomes, arms), do to the log rate, (outcomes, paths, periods)."""
    each = [effects[:, arm, None, None] for arm in range(len(inputs.coords["arm"]))]
    if change:
        return sum(change(arm, effect) for arm, effect in enumerate(each))
    return sum(effect * inputs.tables[f"dose_{arm}"] for arm, effect in enumerate(each))


def effect_by_arm(inputs: Inputs) -> Any:
    """Declare the effects, (outcomes, arms)."""
    import pymc as pm

    mean, sd = numbers(inputs, "effect")  # type: ignore[misc]
    several_arms = len(inputs.coords["arm"]) > 1
    dims = (*inputs.outer, "arm") if several_arms else inputs.outer or None
    effect = inputs.by_outcome(pm.Normal("effect", mean, sd, dims=dims))
    return effect if several_arms else effect[:, None]


def untreated_log_rate(
    inputs: Inputs,
    numbers_of: Callable[[Inputs, str], list[Any] | None] = numbers,
    cluster_effects: "Callable[[Inputs], Any] | None" = None,
) -> Any:
    """Declare all terms but the effect, and give their sum, (outcomes, paths, periods).

    Parameters
    ----------
    numbers_of
        Where a model takes the numbers of its priors from.
    cluster_effects
        Declares the effects of the clusters, (outcomes, clusters), in a model that has its own.
    """
    import pymc as pm

    tables, outer = inputs.tables, inputs.outer
    mean, sd = numbers_of(inputs, "intercept")  # type: ignore[misc]
    eta = inputs.by_outcome(pm.Normal("intercept", mean, sd, dims=outer or None))[:, None, None]
    if scale := numbers_of(inputs, "block"):
        block = pm.ZeroSumNormal("block", sigma=scale[0], dims=(*outer, "block_name"))
        eta = eta + _of_each(inputs, inputs.by_outcome(block), ("block_name",), tables["block"])
    if sds := numbers_of(inputs, "period"):
        period = inputs.by_outcome(period_effects(inputs, sds[0]))
        dims = ("block_name", "period_number")
        blocked = inputs.blocked_periods
        eta = eta + (_of_each(inputs, period, dims, tables["block"]) if blocked else period[:, None, :])
    for term, inner in GROUPED.items():
        if scale := numbers_of(inputs, f"{term}_sd"):
            own = cluster_effects if term == "cluster" else None
            effects = inputs.by_outcome(own(inputs) if own else group_effects(inputs, term, inner, scale[0]))
            eta = eta + _of_each(inputs, effects, inner, tables["cluster"])
    return eta


def _of_each(inputs: Inputs, effects: Any, dims: tuple[str, ...], group: Any) -> Any:
    """Give (outcomes, paths, periods) the effects of their groups, (outcomes, groups) or with periods too."""
    groups, *periods = (len(inputs.coords[name]) for name in dims)
    outcomes = len(inputs.coords["outcome"])
    place = group
    if outcomes > 1:
        place = place + groups * np.arange(outcomes)[:, None, None]
    if periods:
        place = place * periods[0] + np.arange(periods[0])
    return effects.ravel()[place.ravel()].reshape((outcomes, *group.type.shape[1:]))


def period_effects(inputs: Inputs, sd: Any) -> Any:
    """Declare the effects of the periods, by outcome and block where each has its own; they sum to zero."""
    import pymc as pm

    within = ("block_name",) if inputs.blocked_periods else ()
    dims = (*inputs.outer, *within, "period_number")
    if "zero-sum-normal" in inputs.priors["period"]:  # type: ignore[operator]
        return pm.ZeroSumNormal("period", sigma=sd, dims=dims)
    steps = pm.Normal("period_step", 0, sd, dims=dims)
    walk = steps.cumsum(axis=-1)
    return pm.Deterministic("period", walk - walk.mean(axis=-1, keepdims=True), dims=dims)


def group_effects(inputs: Inputs, term: str, inner: tuple[str, ...], scale: Any) -> Any:
    """Give sd times standard normal effects: drawn with their sd, the sampler sticks where it is small."""
    import pymc as pm

    outer = inputs.outer
    sd = signed_sd(term, scale, outer)
    standard = pm.Normal(f"{term}_standard", 0, 1, dims=(*outer, *inner))
    spread = sd[(..., *(None for _ in inner))] if outer else sd
    return pm.Deterministic(term, spread * standard, dims=(*outer, *inner))


def signed_sd(term: str, scale: Any, dims: tuple[str, ...]) -> Any:
    """Declare a half-normal sd, and give it with a sign, which the symmetric effects that it scales take up.

    Sampled as its logarithm, a small sd is a long tail in which the sampler stays; as a signed number it is
    a step across 0.
    """
    import pymc as pm

    signed = pm.Normal(f"{term}_signed_sd", 0, scale, dims=dims or None)
    pm.Deterministic(f"{term}_sd", abs(signed), dims=dims or None)
    return signed
