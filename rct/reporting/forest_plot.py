"""The forest plot: every outcome by every analysis, as percent changes on a log ratio scale."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rct.reporting.number_format import percent_with_interval, signed
from rct.reporting.okabe_ito import BLACK, BLUE, BLUISH_GREEN, GREY, INK, PALE
from rct.reporting.ratio_scale import log_ratio, ratio_span, ratio_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Kind = Literal["primary", "secondary", "bayesian"]
COLOURS: dict[Kind, str] = {"primary": BLUE, "secondary": GREY, "bayesian": BLUISH_GREEN}
MARKERS: dict[Kind, str] = {"primary": "s", "secondary": "o", "bayesian": "D"}
WIDEST = math.log(8.0)


@dataclass(frozen=True)
class ForestRow:
    """One interval: percent change with its limits (NaN where there are none), under its outcome."""

    outcome: str
    label: str
    percent: float
    low: float
    high: float
    kind: Kind


def draw_forest(axes: "Axes", rows: Sequence[ForestRow]) -> "Axes":
    """Draw the rows from the top down, a heading for each outcome, the numbers at the right.

    Limits outside the picture end in an arrow; its range is that of all estimates and limits, but not
    beyond a ratio of ten.
    """
    span = ratio_span(p for row in rows for p in (row.percent, row.low, row.high))
    place = 0.0
    heads: list[tuple[float, str]] = []
    placed: list[tuple[float, ForestRow]] = []
    for number, row in enumerate(rows):
        if number == 0 or row.outcome != rows[number - 1].outcome:
            place += 0.5 if number else 0.0
            heads.append((place, row.outcome))
            place += 1
        placed.append((place, row))
        place += 1
    axes.axvline(0, color=BLACK, linewidth=0.8, zorder=1)
    for height, row in placed:
        _draw_row(axes, height, row, span)
    _label_rows(axes, heads, placed)
    _dress(axes, span, bottom=place)
    return axes


def forest_height(rows: Sequence[ForestRow]) -> float:
    """Give the height in inches at which the rows are easily read."""
    return 0.9 + 0.29 * (len(rows) + 1.5 * len({row.outcome for row in rows}))


def _draw_row(axes: "Axes", height: float, row: ForestRow, span: tuple[float, float]) -> None:
    colour = COLOURS[row.kind]
    low, high = log_ratio(row.low), log_ratio(row.high)
    if not math.isnan(low) and not math.isnan(high):
        ends = max(low, span[0]), min(high, span[1])
        axes.plot(ends, (height, height), color=colour, linewidth=2.2 if row.kind == "primary" else 1.4)
        for end, marker, cut in ((span[0], "<", low < span[0]), (span[1], ">", high > span[1])):
            if cut:
                axes.plot(end, height, marker=marker, color=colour, markersize=6, clip_on=False)
    point = log_ratio(row.percent)
    if span[0] <= point <= span[1]:
        axes.plot(
            point,
            height,
            marker=MARKERS[row.kind],
            markersize=7 if row.kind == "primary" else 6,
            markerfacecolor=colour if row.kind == "primary" else "white",
            markeredgecolor=colour,
            markeredgewidth=1.5,
        )


def _label_rows(
    axes: "Axes", heads: Sequence[tuple[float, str]], placed: Sequence[tuple[float, ForestRow]]
) -> None:
    named = [(height, head, True) for height, head in heads]
    named += [(height, row.label, row.kind == "primary") for height, row in placed]
    named.sort()
    axes.set_yticks(
        [height for height, _, _ in named], labels=[name for _, name, _ in named], parse_math=False
    )
    for text, (height, name, bold) in zip(axes.get_yticklabels(), named, strict=True):
        text.set(
            fontsize=10 if (height, name) in heads else 9, fontweight="bold" if bold else "normal", color=INK
        )
    figures = axes.secondary_yaxis("right")
    figures.set_yticks(
        [height for height, _ in placed],
        labels=[percent_with_interval(row.percent, row.low, row.high) for _, row in placed],
        fontsize=9,
        color=INK,
    )
    for text, (_, row) in zip(figures.get_yticklabels(), placed, strict=True):
        text.set_fontweight("bold" if row.kind == "primary" else "normal")
    figures.tick_params(length=0)
    figures.spines[:].set_visible(False)


def _dress(axes: "Axes", span: tuple[float, float], *, bottom: float) -> None:
    dress_ratio_axis(axes, span)
    axes.set_ylim(bottom - 0.3, -0.6)


def dress_ratio_axis(axes: "Axes", span: tuple[float, float]) -> None:
    """Give the horizontal axis percents on a ratio scale, and leave everything else bare."""
    ticks = ratio_ticks(span)
    axes.set_xlim(*span)
    axes.set_xticks(
        [log_ratio(tick) for tick in ticks],
        labels=[f"{signed(tick, decimals=0)} %" for tick in ticks],
        fontsize=9,
        color=INK,
    )
    axes.set_xlabel(
        "← fewer events · percent change, on a ratio scale · more events →", fontsize=9, color=GREY
    )
    axes.grid(axis="x", color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.spines["bottom"].set_color(PALE)
