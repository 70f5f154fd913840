"""The log rate that the models of officers share: intercept, periods, blocks, clusters and the effect."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rct.bayesian.count_rows import CountRows
from rct.bayesian.model_inputs import Inputs, numbers
from rct.bayesian.priors import Priors
from rct.bayesian.totals import Totals, stack_outcomes, unit_totals

TERMS = ("effect", "intercept", "block", "period", "cluster_sd", "cluster_period_sd")
GROUPED = {"cluster": ("cluster_name",), "cluster_period": ("cluster_name", "period_number")}


def outcome_totals(rows: CountRows, priors: Priors, extra: dict[str, str] | None = None) -> Totals:
    """Add up the rows of every outcome, with the marks that the log rate needs.

    Parameters
    ----------
    extra
        Further marks, by name the column of the rows.
    """
    grouped = bool(priors["cluster_sd"] or priors["cluster_period_sd"])
    blocked = bool(priors["block"] or rows.blocked_periods)
    each = []
    for one in rows.rows.values():
        treated, arm = one["treated"].to_numpy(float), one["arm"].to_numpy()
        marks = {f"dose_{a}": np.where(arm == name, treated, 0.0) for a, name in enumerate(rows.arms)}
        marks["cluster"] = _index(one["cluster"], rows.clusters) if grouped else np.zeros(len(one), np.int64)
        marks["block"] = _index(one["block"], rows.blocks) if blocked else np.zeros(len(one), np.int64)
        marks |= {name: one[column].to_numpy(float) for name, column in (extra or {}).items()}
        each.append(unit_totals(one, periods=np.array(rows.periods), marks=marks))
    return stack_outcomes(each)


def _index(values: Any, labels: list[str]) -> NDArray[np.int64]:
    place = {label: index for index, label in enumerate(labels)}
    return values.astype(str).map(place).to_numpy(np.int64)


def log_rate(inputs: Inputs, effect_of_arm: Any = None) -> Any:
    """Declare the terms and give the log rate per unit of exposure, (outcomes, paths, periods).

    Parameters
    ----------
    effect_of_arm
        Function of the effect of one arm, (outcomes, 1, 1), and its dose, (outcomes, paths, periods), that
        gives the change of the log rate; by default their product.
    """
    eta = untreated_log_rate(inputs)
    effects = effect_by_arm(inputs)
    for arm in range(len(inputs.coords["arm"])):
        dose, effect = inputs.tables[f"dose_{arm}"], effects[:, arm, None, None]
        eta = eta + (effect_of_arm(effect, dose) if effect_of_arm else effect * dose)
    return eta


def effect_by_arm(inputs: Inputs, term: str = "effect", outer: tuple[str, ...] | None = None) -> Any:
    """Declare the effects, (outcomes, arms)."""
    import pymc as pm

    mean, sd = numbers(inputs, term)  # type: ignore[misc]
    several_arms = len(inputs.coords["arm"]) > 1
    outer = inputs.outer if outer is None else outer
    effect = pm.Normal(term, mean, sd, dims=(*outer, "arm") if several_arms else outer or None)
    effect = effect if outer else effect[None]
    return effect if several_arms else effect[:, None]


def untreated_log_rate(inputs: Inputs) -> Any:
    """Declare all terms but the effect, and give their sum, (outcomes, paths, periods)."""
    import pymc as pm

    tables, outer = inputs.tables, inputs.outer
    outcomes = np.arange(len(inputs.coords["outcome"]))[:, None, None]
    periods = np.arange(len(inputs.coords["period_number"]))[None, None, :]
    mean, sd = numbers(inputs, "intercept")  # type: ignore[misc]
    eta = inputs.by_outcome(pm.Normal("intercept", mean, sd, dims=outer or None))[:, None, None]
    if scale := numbers(inputs, "block"):
        block = pm.ZeroSumNormal("block", sigma=scale[0], dims=(*outer, "block_name"))
        eta = eta + inputs.by_outcome(block)[outcomes, tables["block"]]
    if inputs.priors["period"]:
        period = inputs.by_outcome(_period_effects(inputs))
        blocked = inputs.blocked_periods
        eta = eta + (period[outcomes, tables["block"], periods] if blocked else period[:, None, :])
    for term, inner in GROUPED.items():
        if numbers(inputs, f"{term}_sd"):
            effects = inputs.by_outcome(_group_effects(inputs, term, inner))
            at = (outcomes, tables["cluster"], periods)
            eta = eta + effects[at if term == "cluster_period" else at[:2]]
    return eta


def _period_effects(inputs: Inputs) -> Any:
    import pymc as pm

    (sd,) = numbers(inputs, "period")  # type: ignore[misc]
    within = ("block_name",) if inputs.blocked_periods else ()
    dims = (*inputs.outer, *within, "period_number")
    if "zero-sum-normal" in inputs.priors["period"]:  # type: ignore[operator]
        return pm.ZeroSumNormal("period", sigma=sd, dims=dims)
    steps = pm.Normal("period_step", 0, sd, dims=dims)
    walk = steps.cumsum(axis=-1)
    return pm.Deterministic("period", walk - walk.mean(axis=-1, keepdims=True), dims=dims)


def _group_effects(inputs: Inputs, term: str, inner: tuple[str, ...]) -> Any:
    """Give sd times standard normal effects: drawn with their sd, the sampler sticks where it is small."""
    import pymc as pm

    outer = inputs.outer
    (scale,) = numbers(inputs, f"{term}_sd")  # type: ignore[misc]
    sd = pm.HalfNormal(f"{term}_sd", scale, dims=outer or None)
    standard = pm.Normal(f"{term}_standard", 0, 1, dims=(*outer, *inner))
    spread = sd[(..., *(None for _ in inner))] if outer else sd
    return pm.Deterministic(term, spread * standard, dims=(*outer, *inner))
