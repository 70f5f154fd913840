"""Power by outcome and effect, with the Monte-Carlo error of the simulation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rct.reporting.okabe_ito import BLUE, GREY, INK, PALE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

USUAL_TARGET = 0.8


@dataclass(frozen=True)
class PowerBar:
    """Chance (0 to 1) that the trial finds the assumed effect, and its Monte-Carlo standard error."""

    label: str
    power: float
    mc_error: float


def draw_power(axes: "Axes", bars: Sequence[PowerBar]) -> "Axes":
    """Draw one bar for each assumption, with ± 1.96 Monte-Carlo errors, and the usual 80 % as a line."""
    places = range(len(bars))
    axes.barh(places, [100 * bar.power for bar in bars], height=0.55, color=BLUE)
    for place, bar in zip(places, bars, strict=True):
        error = 196 * bar.mc_error
        low, high = max(100 * bar.power - error, 0), min(100 * bar.power + error, 100)
        axes.plot([low, high], [place, place], color=INK, linewidth=1.4)
        axes.text(
            high + 1.5, place, f"{100 * bar.power:.0f} % (± {error:.0f})",
            va="center", fontsize=9, color=INK,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
        )  # fmt: skip
    axes.axvline(100 * USUAL_TARGET, color=GREY, linestyle=(0, (4, 3)), linewidth=1)
    axes.text(
        100 * USUAL_TARGET, 1.01, "80 %: the usual aim", transform=axes.get_xaxis_transform(),
        ha="center", va="bottom", fontsize=9, color=GREY,
    )  # fmt: skip
    axes.set_yticks(places, labels=[bar.label for bar in bars], fontsize=9, color=INK, parse_math=False)
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.set_xlim(0, 115)
    axes.set_xticks(
        range(0, 101, 20), labels=[f"{tick} %" for tick in range(0, 101, 20)], fontsize=9, color=INK
    )
    axes.set_xlabel("chance that the trial finds the assumed effect", fontsize=9, color=GREY)
    axes.tick_params(length=0)
    axes.grid(axis="x", color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["right", "top", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(PALE)
    return axes
