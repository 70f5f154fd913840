"""The love plot: how far each group lies from its reference in each covariate, in standard deviations."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rct.reporting.okabe_ito import ARM_COLOURS, BLACK, GREY, INK, PALE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

USUAL_LIMIT = 0.1


@dataclass(frozen=True)
class LovePoint:
    """Standardized difference of a group from its reference, in one covariate."""

    covariate: str
    group: str
    difference: float


def draw_love(axes: "Axes", points: Sequence[LovePoint]) -> "Axes":
    """Draw one row a covariate and one mark a group, with lines at zero and at ± 0.1.

    As many groups as there are colours are named beside their marks in the first row; more are drawn alike.
    """
    covariates = list(dict.fromkeys(point.covariate for point in points))
    groups = list(dict.fromkeys(point.group for point in points))
    told_apart = len(groups) <= len(ARM_COLOURS)
    axes.axvline(0, color=BLACK, linewidth=0.8, zorder=1)
    for limit in (-USUAL_LIMIT, USUAL_LIMIT):
        axes.axvline(limit, color=GREY, linestyle=(0, (4, 3)), linewidth=1, zorder=1)
    for point in points:
        place, number = covariates.index(point.covariate), groups.index(point.group)
        height = place + (number - (len(groups) - 1) / 2) * 0.5 / len(groups)
        colour = ARM_COLOURS[number] if told_apart else GREY
        axes.plot(point.difference, height, marker="o", markersize=7, color=colour, linestyle="none")
        if told_apart and place == 0:
            axes.annotate(
                point.group, (point.difference, height), xytext=(7, 0), textcoords="offset points",
                va="center", fontsize=9, color=colour, parse_math=False,
            )  # fmt: skip
    _dress(axes, covariates, [point.difference for point in points])
    return axes


def love_height(points: Sequence[LovePoint]) -> float:
    """Give the height in inches at which the rows are easily read."""
    groups = len({point.group for point in points})
    return 0.9 + len({point.covariate for point in points}) * max(0.34, 0.16 * min(groups, len(ARM_COLOURS)))


def _dress(axes: "Axes", covariates: Sequence[str], differences: Sequence[float]) -> None:
    widest = 1.35 * max([2 * USUAL_LIMIT, *map(abs, differences)])
    axes.set_yticks(range(len(covariates)), labels=covariates, fontsize=9, color=INK, parse_math=False)
    axes.set_ylim(len(covariates) - 0.5, -0.5)
    axes.set_xlim(-widest, widest)
    axes.set_xlabel("standardized difference, in standard deviations", fontsize=9, color=GREY)
    axes.tick_params(length=0, labelsize=9, labelcolor=INK)
    axes.grid(axis="x", color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["right", "top", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(PALE)
