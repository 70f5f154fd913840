"""Tables and sentences of one Bayesian fit: answers, checks, other priors, the primary analysis."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rct.reporting.analyses import is_bayesian, several_arms
from rct.reporting.number_format import (
    NONE,
    count,
    decimal,
    p_value,
    percent,
    percent_with_interval,
    probability,
    signed,
)
from rct.reporting.table import Table

if TYPE_CHECKING:
    from rct.estimates import Estimate, Estimates
    from rct.posterior import Posterior
    from rct.reporting.report_units import ReportUnits

MOST_CLUSTERS = 12
SELDOM = 0.025
SENSITIVE = 0.05
LARGER = 0.1
EQUIVALENCE = (0.95, 1.05)


def _named(label: str, arm: str, posterior: "Posterior") -> str:
    return f"{label}, {arm}" if len(posterior.arms) > 1 else label


def answers_table(posterior: "Posterior", words: "ReportUnits") -> Table:
    """Answer what people ask: did it fall, by enough, and how many events is that."""
    effects = posterior.frame.to_dict("records")
    units = {words.rate_unit(outcome) for outcome in posterior.outcomes}
    rows: list[tuple[str, ...]] = []
    for outcome, arm, effect in ((row["outcome"], row["arm"], row) for row in effects):
        answers = posterior.answers(
            larger_than=LARGER,
            equivalence=EQUIVALENCE,
            officers=words.rate_factor(outcome),
            periods_per_year=1,
        )
        answer = answers[(answers["outcome"] == outcome) & (answers["arm"] == arm)].iloc[0]
        low, high = (100 * math.expm1(effect[end]) for end in ("conf_low", "conf_high"))
        averted, least, most = (answer[key] for key in ("averted", "averted_low", "averted_high"))
        rows.append(
            (
                _named(words.label(outcome), arm, posterior),
                percent_with_interval(effect["percent_change"], low, high),
                probability(answer["probability_reduced"]),
                probability(answer["probability_larger"]),
                probability(answer["probability_equivalent"]),
                NONE
                if math.isnan(averted)
                else f"{signed(averted)} ({signed(least)} to {signed(most)})"
                + (f" per {words.rate_unit(outcome)}" if len(units) > 1 else ""),
            )
        )
    if posterior.model == "joint":
        rows += [_together(posterior, arm) for arm in posterior.arms]
    columns = (
        "outcome", "percent change", "P(reduction)", "P(reduction of more than 10 %)",
        "P(within 5 % of none)", " per ".join(["events averted", *(units if len(units) == 1 else ())]),
    )  # fmt: skip
    caption = (
        f"What the posterior says. Intervals hold {100 * posterior.level:g} % of its probability. "
        f"Events averted{_averted_from(posterior, words)}; negative numbers are events added."
    )
    return Table(caption, columns, tuple(rows), frozenset(columns[1:]))


def _averted_from(posterior: "Posterior", words: "ReportUnits") -> str:
    """Say whose rate the events averted are counted from, where any are."""
    if not any(facts.get("controlled", True) for facts in posterior.meta.values()):
        return " need a control"
    if "untreated_rate" not in posterior.groups["posterior"]:
        return " are counted from the observed untreated rate"
    if not posterior.priors.get("heterogeneity"):
        return f" are counted from the rate of an average {words.measured} in the treated rows"
    at = {"fading": ", in the first periods in training", "agencies": ", each with its own change"}
    trained = f"the {words.measured_plural} of this trial that were trained"
    return f" are counted among {trained}{at.get(posterior.model, '')}"


def _together(posterior: "Posterior", arm: str) -> tuple[str, ...]:
    """Say how probable it is that all outcomes of one model did, at once."""
    import numpy as np

    draws = np.stack([posterior.effect_draws(outcome, arm=arm) for outcome in posterior.outcomes])
    low, high = (math.log(end) for end in EQUIVALENCE)
    did = (draws < 0, draws < math.log1p(-LARGER), (draws > low) & (draws < high))
    return (
        _named("all of them", arm, posterior),
        NONE,
        *(probability(float(one.all(axis=0).mean())) for one in did),
        NONE,
    )


def comparison_table(posterior: "Posterior", results: "Estimates", words: "ReportUnits") -> Table | None:
    """Set the posterior beside the primary analysis of the same outcomes; None where there is none."""
    others = [row for row in results if row.notes.get("role") == "primary" and not is_bayesian(row)]
    others = [row for row in others if row.outcome in posterior.outcomes and row.scale == "log"]
    if not others:
        return None
    arms = several_arms(others)
    fitted = posterior.frame.to_dict("records")
    rows = []
    for row in others:
        label = f"{words.label(row.outcome)}, {row.arm}" if arms else words.label(row.outcome)
        rows.append(_compared(label, row, f"primary, {row.estimand}: {row.method}; {row.inference}"))
        rows += [_own(label, own) for own in fitted if (own["outcome"], own["arm"]) == (row.outcome, row.arm)]
    # One curve for several dose arms is the effect of none of them alone.
    known = {(row.outcome, row.arm) for row in others}
    rows += [
        _own(f"{words.label(own['outcome'])}, {own['arm']}", own)
        for own in fitted
        if (own["outcome"], own["arm"]) not in known
    ]
    columns = ("outcome", "analysis", "percent change", "p", "P(reduction)")
    caption = (
        "Beside the primary analysis. The first line of each outcome rests on the randomization, as its "
        "analysis says; the posterior on the model and its priors. Where they differ, the first decides."
    )
    return Table(caption, columns, tuple(rows), frozenset(columns[2:]))


def _own(label: str, row: Mapping[Any, Any]) -> tuple[str, ...]:
    change = percent_with_interval(row["percent_change"], *_ends(row))
    return label, f"posterior: {row['estimand']}", change, NONE, probability(row["probability_reduced"])


def _compared(label: str, row: "Estimate", analysis: str) -> tuple[str, ...]:
    low, high = (100 * math.expm1(end) for end in (row.conf_low, row.conf_high))
    return label, analysis, percent_with_interval(row.percent_change, low, high), p_value(row.p_value), NONE


def _ends(row: Mapping[Any, Any]) -> tuple[float, float]:
    return 100 * math.expm1(row["conf_low"]), 100 * math.expm1(row["conf_high"])


def predictive_table(posterior: "Posterior", words: "ReportUnits") -> Table | None:
    """Set the figures of the observed counts beside those that the model makes."""
    rows = []
    for outcome, checks in posterior.checks.items():
        figures = checks.get("predictive", [])
        clusters = [one for one in figures if one["figure"].startswith("events in ")]
        shown = clusters if len(clusters) <= MOST_CLUSTERS else [c for c in clusters if c["tail"] < SELDOM]
        for one in [*(f for f in figures if f not in clusters), *shown]:
            rows.append(
                (
                    words.label(outcome),
                    one["figure"],
                    _figure(one["observed"]),
                    f"{_figure(one['median'])} ({_figure(one['low'])} to {_figure(one['high'])})",
                    "seldom so far out" if one["tail"] < SELDOM else "agrees",
                )
            )
    if not rows:
        return None
    columns = ("outcome", "figure", "observed", "made by the model", "verdict")
    caption = (
        "Does the model make data like these? Counts that it makes, with new officers in the same places and "
        f"periods, beside the observed ones; intervals hold {100 * posterior.level:g} % of the replicates."
    )
    return Table(caption, columns, tuple(rows), frozenset(columns[2:4]))


def _figure(value: float) -> str:
    return count(value) if float(value).is_integer() else decimal(value, decimals=2 if value < 10 else 0)


def priors_table(posterior: "Posterior", words: "ReportUnits") -> Table | None:
    """Give the effect under other priors of it."""
    rows = [
        (
            _named(words.label(outcome), arm, posterior),
            f"{_prior_name(one)}: normal({decimal(one['mean'])}, {decimal(one['sd'])})",
            percent_with_interval(100 * math.expm1(one["estimate"]), *_ends(one))
            if one["reliable"]
            else NONE,
            probability(one["probability_reduced"]) if one["reliable"] else "needs a fit of its own",
        )
        for outcome, checks in posterior.checks.items()
        for arm, table in checks.get("priors", {}).items()
        for one in table
    ]
    if not rows:
        return None
    columns = ("outcome", "prior of the log rate ratio", "percent change", "P(reduction)")
    caption = (
        "Would other priors have said the same? The same draws, reweighted. The sceptic gives one in twenty "
        "to an effect larger than hoped for, the enthusiast one in twenty to none at all."
    )
    return Table(caption, columns, tuple(rows), frozenset(columns[2:]))


def _prior_name(one: Mapping[str, Any]) -> str:
    """Name a prior, the enthusiast's with the change that is hoped for."""
    if one["prior"] != "enthusiastic":
        return str(one["prior"])
    return f"enthusiastic ({percent(100 * math.expm1(one['mean']))} hoped for)"


def check_sentences(posterior: "Posterior", words: "ReportUnits") -> list[str]:
    """Say what the priors allow in the units of the agency, how they matter, and what leaving out shows."""
    told = []
    for outcome, checks in posterior.checks.items():
        label = words.label(outcome)
        if prior := checks.get("prior_incidents"):
            low, high = (_rounded(prior[end]) for end in ("low", "high"))
            told.append(
                f"{label}: before any data, the priors allow from {low} to {high} events a {words.period} "
                f"({100 * posterior.level:g} %); an average one had {_rounded(prior['observed'])}."
            )
        if left_out := checks.get("left_out"):
            all_of_them = "All outcomes together" if left_out.get("together") else label
            told.append(_left_out(all_of_them, left_out, words))
        told += [
            _scaling(_named(label, arm, posterior), one)
            for arm, one in checks.get("power_scaling", {}).items()
        ]
    return told


def _rounded(value: float) -> str:
    if value >= 1e7:
        return "over ten million"
    return count(round(value)) if value >= 10 else decimal(value, decimals=1 if value >= 0.1 else 3)


def _left_out(label: str, found: Mapping[str, Any], words: "ReportUnits") -> str:
    elpd, error = (decimal(found[key], decimals=1) for key in ("elpd", "elpd_std_error"))
    told = (
        f"{label}, each {words.measured} left out in turn: expected log predictive density {elpd} "
        f"(standard error {error}), largest Pareto k {decimal(found['largest_k'])}"
    )
    if not found["units_above"]:
        return f"{told}: no single {words.measured} decides."
    above = found["units_above"]
    are, them = ("is", "that one") if above == 1 else ("are", "them")
    return (
        f"{told}; {above} of {count(found['units'])} {words.measured_plural} {are} at or above "
        f"{found['limit']}, where the figure is not to be trusted: the fit leans on {them}."
    )


def _scaling(label: str, found: Mapping[str, float]) -> str:
    prior, likelihood = (found[part] > SENSITIVE for part in ("prior", "likelihood"))
    sizes = f"(power-scaling: prior {decimal(found['prior'])}, likelihood {decimal(found['likelihood'])})"
    if prior and not likelihood:
        return f"{label}: the prior of the effect decides and the data hardly matter {sizes}."
    if prior:
        return f"{label}: the prior of the effect matters beside the data {sizes}."
    if likelihood:
        return f"{label}: the data decide and the prior of the effect hardly matters {sizes}."
    return (
        f"{label}: a little more or less weight on the prior of the effect, or on the data, hardly moves it "
        f"{sizes}."
    )
