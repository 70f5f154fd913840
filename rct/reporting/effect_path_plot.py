"""Effects by time since training began: one point and interval for each exposure or event time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rct.reporting.number_format import signed
from rct.reporting.okabe_ito import BLACK, BLUE, GREY, INK, PALE

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
    """Draw the points in order of time; the zero line is no effect."""
    from matplotlib.ticker import MaxNLocator

    ordered = sorted(points, key=lambda point: point.time)
    times = [point.time for point in ordered]
    axes.axhline(0, color=BLACK, linewidth=0.8)
    axes.vlines(times, [p.low for p in ordered], [p.high for p in ordered], color=BLUE, linewidth=1.6)
    axes.plot(times, [p.percent for p in ordered], "o", color=BLUE, markersize=5)
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold", color=INK, parse_math=False)
    axes.set_xlabel(time_label, fontsize=9, color=GREY)
    axes.set_ylabel("percent change", fontsize=9, color=GREY)
    axes.yaxis.set_major_formatter(lambda value, _: f"{signed(value, decimals=0)} %")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=9, labelcolor=INK)
    axes.spines[["right", "top", "left", "bottom"]].set_visible(False)
    return axes
