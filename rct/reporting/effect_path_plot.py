"""Effects by time since training began: one point and interval for each exposure or event time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rct.reporting.number_format import signed
from rct.reporting.okabe_ito import BLACK, BLUE, GREY, INK, PALE
from rct.reporting.ratio_scale import log_ratio, ratio_span, ratio_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class PathPoint:
    """Percent change, with its limits, at one time since training began."""

    time: float
    percent: float
    low: float
    high: float


def draw_effect_path(axes: "Axes", points: Sequence[PathPoint], *, title: str, time_label: str) -> "Axes":
    """Draw the points in order of time, on a ratio scale; limits beyond a ratio of ten are cut off."""
    from matplotlib.ticker import MaxNLocator

    ordered = sorted(points, key=lambda point: point.time)
    times = [point.time for point in ordered]
    axes.axhline(0, color=BLACK, linewidth=0.8)
    span = ratio_span(p for point in ordered for p in (point.percent, point.low, point.high))
    ends = [(max(log_ratio(p.low), span[0]), min(log_ratio(p.high), span[1])) for p in ordered]
    axes.vlines(times, [low for low, _ in ends], [high for _, high in ends], color=BLUE, linewidth=1.6)
    axes.plot(times, [log_ratio(p.percent) for p in ordered], "o", color=BLUE, markersize=5)
    ticks = ratio_ticks(span)
    axes.set_ylim(*span)
    axes.set_yticks([log_ratio(tick) for tick in ticks], labels=[f"{signed(t, decimals=0)} %" for t in ticks])
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold", color=INK, parse_math=False)
    axes.set_xlabel(time_label, fontsize=9, color=GREY)
    axes.set_ylabel("percent change\n(ratio scale)", fontsize=9, color=GREY)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=9, labelcolor=INK)
    axes.spines[["right", "top", "left", "bottom"]].set_visible(False)
    return axes
