"""The sentences of the headline: what was found, for readers who decide, and what it does not say."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rct.reporting.analyses import averaged_times, is_bayesian, is_constant, is_exposure_average
from rct.reporting.number_format import p_phrase, percent, percent_with_interval, probability, signed

if TYPE_CHECKING:
    from rct.estimates import Estimate

Verdict = Literal["fewer", "more", "unclear"]

ASSUMES_AVERAGE = (
    "nothing about how the effect grows or fades: each period since training began has an effect of its own, "
    "and these are averaged"
)
ASSUMES_CONSTANT = "the effect is the same from the first treated period on"
INTENTION_TO_TREAT = (
    "Everyone counts in the group that the randomization assigned, trained or not (intention to treat)."
)


@dataclass(frozen=True)
class Finding:
    """One headline: the outcome, the figure, the sentence."""

    label: str
    figure: str
    interval: str
    verdict: Verdict
    sentence: str


def finding(estimate: "Estimate", *, label: str, alpha: float) -> Finding:
    """Put one primary estimate into words.

    A change is called clear where its p-value (after adjustment, where there is one) is at most alpha, or,
    for a posterior, where the interval leaves out zero.
    """
    verdict = _verdict(estimate, alpha)
    low, high = estimate.percent_interval
    interval = f"{100 * estimate.level:g} % interval {signed(low)} to {signed(high)} %"
    return Finding(
        label=label,
        figure=percent(estimate.percent_change),
        interval="no interval" if math.isnan(low) or math.isnan(high) else interval,
        verdict=verdict,
        sentence=_sentence(estimate, verdict, alpha),
    )


def _verdict(estimate: "Estimate", alpha: float) -> Verdict:
    low, high = estimate.conf_low, estimate.conf_high
    p = estimate.p_value if math.isnan(estimate.p_adjusted) else estimate.p_adjusted
    clear = (low > 0 or high < 0) if math.isnan(p) else p <= alpha
    if not clear:
        return "unclear"
    return "fewer" if estimate.estimate < 0 else "more"


def _sentence(estimate: "Estimate", verdict: Verdict, alpha: float) -> str:
    size = f"{abs(estimate.percent_change):.1f} % {'fewer' if estimate.percent_change < 0 else 'more'}"
    compared = _compared(estimate)
    if verdict == "unclear":
        best = f"the best estimate is {size} events{_evidence(estimate)}"
        return f"No clear change{compared}: {best}. {_excluded(estimate, alpha)}"
    return f"{size[0].upper()}{size[1:]} events{compared}{_evidence(estimate)}.{_reach(estimate)}"


def _compared(estimate: "Estimate") -> str:
    return (
        f" with {estimate.arm} than with {estimate.reference}" if estimate.arm and estimate.reference else ""
    )


def _evidence(estimate: "Estimate") -> str:
    if is_bayesian(estimate):
        return f" (probability of a reduction {probability(estimate.probability_reduced)})"
    if math.isnan(estimate.p_value):
        return ""
    if math.isnan(estimate.p_adjusted) or estimate.p_adjusted == estimate.p_value:
        return f" ({p_phrase(estimate.p_value)})"
    return f" ({p_phrase(estimate.p_value)}; {p_phrase(estimate.p_adjusted)} allowing for several outcomes)"


def _excluded(estimate: "Estimate", alpha: float) -> str:
    low, high = estimate.percent_interval
    if math.isnan(low) or math.isnan(high):
        return "No interval could be given, so no change is excluded."
    if not low <= 0 <= high and estimate.p_value <= alpha:
        return (
            "The interval leaves out zero, but it does not allow for several outcomes; with that allowance "
            "the change is not clear."
        )
    if not low <= 0 <= high:
        return (
            "The interval leaves out zero and the p-value does not call the change clear: they come from "
            "different calculations, so read the finding as uncertain."
        )
    return (
        f"This is not evidence of no effect: anything from {_change(low)} to {_change(high)} fits the data; "
        "only changes beyond these are excluded."
    )


def _change(value: float) -> str:
    return f"{signed(abs(value)).lstrip('+')} % {'fewer' if value < 0 else 'more'}"


def _reach(estimate: "Estimate") -> str:
    """Say how far the interval of a clear change reaches, and where it disagrees with the p-value."""
    low, high = estimate.percent_interval
    if math.isnan(low) or math.isnan(high):
        return ""
    if not estimate.conf_low <= 0 <= estimate.conf_high:
        return f" Anything from {_change(low)} to {_change(high)} fits the data."
    return (
        f" The interval, from another calculation than the p-value, still reaches from {_change(low)} to "
        f"{_change(high)}: the direction is clearer than the size."
    )


def assumption(primary: Sequence["Estimate"], *, period: str) -> str:
    """Say what the headline's figures are of, and what they take for granted."""
    first = primary[0]
    if is_exposure_average(first):
        span, shape = averaged_times(first)
        what = (
            f"The figures are averages over {period}s {span} since training began; they assume "
            f"{assumes_of_average(shape)}."
        )
    elif is_constant(first):
        what = (
            f"The figures assume that {ASSUMES_CONSTANT}; where it grows or fades they are not its average."
        )
    elif first.scale == "difference":
        what = (
            "The figures are average differences in events, as shares of the rate before; they rest on the "
            "random timing of the training and on no model of the counts."
        )
    else:
        what = f"The figures are of the {first.estimand}."
    return f"{what} {INTENTION_TO_TREAT}"


def exaggeration(power: float, factor: float, *, label: str) -> str:
    """Say that clear findings of a trial of little power overstate the effect (Gelman & Carlin 2014)."""
    return (
        f"{label}: in {100 * power:.0f} % of such trials the assumed effect is found, and where it is, the "
        f"estimate is on average {factor:.1f} times the true effect. Read a clear change as a direction "
        "before a size."
    )


def assumes_of_average(shape: str) -> str:
    """Say what a mean over exposure times takes for granted, given the shape of its course."""
    return f"a shape of the effect's course after training: {shape}" if shape else ASSUMES_AVERAGE


def answer(estimate: "Estimate") -> str:
    """Give an estimate as one cell: percent, interval and p-value."""
    text = percent_with_interval(estimate.percent_change, *estimate.percent_interval)
    if is_bayesian(estimate):
        return f"{text}, P(reduction) {probability(estimate.probability_reduced)}"
    return text if math.isnan(estimate.p_value) else f"{text}, {p_phrase(estimate.p_value)}"
