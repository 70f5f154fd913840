"""The figures of a report, drawn and put into words: each is markup, caption and alt text."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rct.reporting.analyses import along_time, analysis_name, row_kind, several_arms
from rct.reporting.effect_path_plot import PathPoint, draw_effect_path
from rct.reporting.figure_markup import new_figure, svg_markup
from rct.reporting.forest_plot import ForestRow, draw_forest, forest_height
from rct.reporting.love_plot import LovePoint, draw_love, love_height
from rct.reporting.number_format import decimal, p_value, percent_with_interval
from rct.reporting.officer_plot import HEIGHT as OFFICER_HEIGHT
from rct.reporting.officer_plot import draw_officers
from rct.reporting.power_plot import PowerBar, draw_power
from rct.reporting.rate_plot import THIN, draw_rates, draw_treated_share, rate_lines, treated_share
from rct.reporting.schedule_picture import draw_schedule, schedule_height, schedule_rows
from rct.reporting.shrinkage_plot import HEIGHT, draw_shrinkage

if TYPE_CHECKING:
    from rct.estimates import Estimate
    from rct.panel import Panel
    from rct.posterior import Posterior
    from rct.randomization import Allocation
    from rct.reporting.assignment import Assignment
    from rct.reporting.report_units import ReportUnits

LONGEST_LABEL = 60
BALANCE_DRAWS = 999
MOSTLY_OTHERS = 0.5


@dataclass(frozen=True)
class Picture:
    """Inline SVG, and the caption that stands below it."""

    markup: str
    caption: str


def schedule_figure(assignment: "Assignment", words: "ReportUnits", *, transition: bool) -> Picture:
    """Draw who is in training when."""
    rows = schedule_rows(assignment.units, assignment.sequences, noun=words.randomized_plural)
    figure, (axes,) = new_figure([schedule_height(rows)])
    draw_schedule(
        axes, rows, control=assignment.control, period=words.period, period_labels=assignment.labels
    )
    crossed = ", ".join(f"{row.label} {assignment.first_treated(row.starts)}" for row in rows)
    alt = f"Schedule: first treated {words.period} of each row. {crossed}."
    hatched = " Hatched: transition, left out of every analysis." if transition else ""
    each = words.randomized if len(rows) == len(assignment.units) else "sequence"
    caption = (
        f"The schedule. One row for each {each}, in the order of crossing; coloured from the first treated "
        f"{words.period} on.{hatched}"
    )
    return Picture(svg_markup(figure, name="schedule", alt=alt), caption)


def love_figure(allocation: "Allocation", words: "ReportUnits") -> Picture | None:
    """Draw the balance of the covariates that the trial names; None where it names none."""
    from rct.randomization import balance_covariates, balance_test, standardized_differences

    names = balance_covariates(allocation)
    if not names:
        return None
    table = standardized_differences(allocation, names).dropna(subset="standardized_difference")
    points = [
        LovePoint(str(row.covariate), str(row.group), float(row.standardized_difference))  # type: ignore[arg-type]
        for row in table.itertuples(index=False)
    ]
    if not points:
        return None
    figure, (axes,) = new_figure([love_height(points)])
    draw_love(axes, points)
    told = "; ".join(f"{point.covariate}, {point.group}: {point.difference:+.2f}" for point in points)
    test = balance_test(allocation, names, draws=BALANCE_DRAWS, seed=0)
    caption = (
        f"Balance before treatment: difference of each group's mean from {table['reference'].iloc[0]}, over "
        f"{words.measured_plural}, in standard deviations; dashed: ± 0.1. Of {test.draws:,} allocations by "
        f"the same mechanism, a share of {p_value(test.p_value)} is at least as unbalanced in all covariates "
        f"together (d² = {test.statistic:.2f})."
    )
    return Picture(svg_markup(figure, name="balance", alt=f"Love plot. {told}."), caption)


def forest_figure(
    estimates: Sequence["Estimate"], primary: Sequence["Estimate"], words: "ReportUnits"
) -> Picture | None:
    """Draw every outcome by every analysis; None where all effects are of single exposure times."""
    single = [row for row in estimates if not along_time(row)]
    if not single:
        return None
    order = list(dict.fromkeys(row.outcome for row in single))
    single.sort(key=lambda row: order.index(row.outcome))
    rows = [
        ForestRow(
            words.label(row.outcome), label, row.percent_change, *row.percent_interval, row_kind(row, primary)
        )
        for row, label in zip(single, _row_labels(single), strict=True)
    ]
    figure, (axes,) = new_figure([forest_height(rows)], width=10.0)
    draw_forest(axes, rows)
    told = "; ".join(
        f"{row.outcome}, {row.label}: {percent_with_interval(row.percent, row.low, row.high)}" for row in rows
    )
    caption = (
        "Percent change in events with training, every outcome by every analysis. Filled squares: the "
        "primary analysis. Circles: secondary analyses. Diamonds: Bayesian analyses. Lines: "
        f"{100 * single[0].level:g} % intervals; the vertical line is no change."
    )
    return Picture(svg_markup(figure, name="forest", alt=f"Forest plot. {told}."), caption)


def path_figures(estimates: Sequence["Estimate"], words: "ReportUnits") -> list[Picture]:
    """Draw one figure for each outcome, arm and analysis that has effects by exposure or event time."""
    groups: dict[tuple[str, str, str], list[Estimate]] = {}
    for row in estimates:
        if along_time(row):
            groups.setdefault((row.outcome, row.arm, row.method), []).append(row)
    arms = several_arms(estimates)
    return [
        _path_figure(rows, words, number=number, arm=arm if arms else "")
        for number, ((_, arm, _), rows) in enumerate(groups.items(), start=1)
    ]


def _path_figure(rows: Sequence["Estimate"], words: "ReportUnits", *, number: int, arm: str) -> Picture:
    exposure = not math.isnan(rows[0].exposure_time)
    times = [row.exposure_time if exposure else row.event_time for row in rows]
    points = [
        PathPoint(t, row.percent_change, *row.percent_interval) for t, row in zip(times, rows, strict=True)
    ]
    title = ", ".join(part for part in (words.label(rows[0].outcome), arm, rows[0].method) if part)
    clock = (
        f"{words.period}s in training (1 = first treated)"
        if exposure
        else f"{words.period}s since the first treated one (0)"
    )
    figure, (axes,) = new_figure([2.8])
    draw_effect_path(axes, points, title=title, time_label=clock)
    told = "; ".join(f"{p.time:g}: {percent_with_interval(p.percent, p.low, p.high)}" for p in points)
    caption = (
        f"{title}: percent change by {clock}, with intervals. Single periods are uncertain; read the course, "
        "not a point."
    )
    return Picture(svg_markup(figure, name=f"path-{number}", alt=f"{title}, by {clock}. {told}."), caption)


def rates_figure(panel: "Panel", assignment: "Assignment", words: "ReportUnits") -> Picture:
    """Draw the observed rates of every outcome over time, and the share in training."""
    figure, axes = new_figure([1.9] * len(panel.outcomes) + [1.0])
    told = []
    for place, outcome in enumerate(panel.outcomes):
        lines = rate_lines(panel, outcome, per=words.period_factor(outcome))
        unit = words.period_unit(outcome)
        draw_rates(axes[place], lines, arms=panel.treatments, title=words.label(outcome), unit=unit)
        told.append(
            f"{words.label(outcome)} per {unit}: "
            + ", ".join(_range_text(line.label, line.rates) for line in lines)
        )
    draw_treated_share(axes[-1], treated_share(panel), period_labels=assignment.labels)
    caption = (
        f"Observed events over time, and below them the share of {words.measured_plural} in training. Groups "
        "change as units cross, and nothing is adjusted: the effects are estimated above, not read off here. "
        f"A group of few {words.measured_plural} swings widely by chance; groups with less than "
        f"{100 * THIN:g} % of a {words.period}'s exposure are not drawn."
    )
    return Picture(svg_markup(figure, name="rates", alt=f"Observed rates. {'; '.join(told)}."), caption)


def _range_text(label: str, rates: Iterable[float]) -> str:
    seen = [rate for rate in rates if not math.isnan(rate)]
    return f"{label} {min(seen):.2f} to {max(seen):.2f}" if seen else f"{label} never observed"


def shrinkage_figure(posterior: "Posterior", words: "ReportUnits", *, name: str) -> Picture:
    """Draw how far each agency is drawn towards the others, and count those that the data cannot tell."""
    from rct.bayesian import agency_table

    table = agency_table(posterior)
    (outcome,) = posterior.outcomes
    mean = float(posterior.frame["percent_change"].iloc[0])
    figure, (axes,) = new_figure([HEIGHT])
    draw_shrinkage(axes, table, mean=mean)
    counts = table["verdict"].value_counts()
    told = (
        f"of {len(table)} {words.measured_plural}, {counts.get('fell', 0)} fell, "
        f"{counts.get('rose', 0)} rose, and of {counts.get('cannot tell', 0)} the data cannot tell"
    )
    silent = int(table["raw_percent_change"].isna().sum())
    without = f" {silent} whose own counts give no ratio have a point below alone." if silent else ""
    others = int(((table["verdict"] != "cannot tell") & (table["shrinkage"] > MOSTLY_OTHERS)).sum())
    borrowed = (
        f" For {others} of those that fell or rose the others' data say more than its own." if others else ""
    )
    caption = (
        f"{words.label(outcome)}: {told} (97.5 % of the posterior on one side, or not). For each "
        f"{words.measured} a line leads from the change of its own counts to its posterior median; dashed: "
        f"the average one.{borrowed}{without} "
        "Where a point stands among the others is uncertain: the figure ranks nobody."
    )
    return Picture(svg_markup(figure, name=name, alt=f"{words.label(outcome)}, shrinkage: {told}."), caption)


def officer_figures(posterior: "Posterior", words: "ReportUnits", *, name: str) -> list[Picture]:
    """Draw how the rates of officers are drawn towards the average, an outcome a picture, naming nobody."""
    found = []
    for number, (outcome, checks) in enumerate(posterior.checks.items(), start=1):
        groups = checks.get("officers", [])
        if not groups:
            continue
        title = words.label(outcome)
        figure, (axes,) = new_figure([OFFICER_HEIGHT])
        draw_officers(axes, groups, title=title, measured=words.measured_plural)
        told = "; ".join(
            f"{one['fewest']} to {one['most']} events ({one['units']} {words.measured_plural}): "
            f"{decimal(one['rate_ratio'])} ({decimal(one['ratio_low'])} to {decimal(one['ratio_high'])})"
            for one in groups
        )
        caption = (
            f"{title}: rates of {words.measured_plural} as multiples of the average one's in the same places "
            f"and periods, those with equally many events together. Counts alone take chance for character; "
            f"the posterior draws them towards the average. Lines hold {100 * posterior.level:g} % of the "
            f"posterior of one {words.measured}: where they overlap, the data do not tell "
            f"{words.measured_plural} apart."
        )
        alt = f"{title}, rates of {words.measured_plural}. {told}."
        found.append(Picture(svg_markup(figure, name=f"{name}-{number}", alt=alt), caption))
    return found


def power_figure(bars: Sequence[PowerBar]) -> Picture:
    """Draw the power of the declared trial at its assumed effects."""
    figure, (axes,) = new_figure([0.9 + 0.34 * len(bars)])
    draw_power(axes, bars)
    told = "; ".join(f"{bar.label}: {100 * bar.power:.0f} %" for bar in bars)
    caption = (
        "Power: how likely a trial of this design is to find the effects that it assumes, by simulation. "
        "Black lines: ± 1.96 Monte-Carlo errors."
    )
    return Picture(svg_markup(figure, name="power", alt=f"Power. {told}."), caption)


def _row_labels(rows: Sequence["Estimate"]) -> list[str]:
    """Name the analyses briefly ("Poisson: constant effect") where that tells an outcome's rows apart."""
    arms = several_arms(rows)
    full = [analysis_name(row, several_arms=arms) for row in rows]
    brief = [
        analysis_name(replace(row, method=row.method.partition(",")[0]), several_arms=arms)
        if row.scale == "log"
        else name
        for row, name in zip(rows, full, strict=True)
    ]
    keys = [(row.outcome, name) for row, name in zip(rows, brief, strict=True)]
    labels = brief if len(set(keys)) == len(keys) else full
    return [
        text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1].rstrip()}…" for text in labels
    ]
