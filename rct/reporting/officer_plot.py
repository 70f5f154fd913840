"""Officers with equally many events: their rates by their counts alone, and as the model draws them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rct.reporting.okabe_ito import BLUE, GREY, INK, PALE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEIGHT = 2.6
LOWEST = 0.05
TICKS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)


def draw_officers(axes: "Axes", groups: Sequence[Mapping[str, Any]], *, title: str, measured: str) -> "Axes":
    """Draw each group's own rate, its posterior median and interval, as multiples of the average.

    Parameters
    ----------
    groups
        Of :func:`rct.bayesian.officer_rates.officer_shrinkage`. A rate below a twentieth of the average
        stands at the picture's edge.
    measured
        Plural of what is measured.
    """
    places = range(len(groups))
    axes.axhline(1, color=INK, linewidth=0.8, linestyle="--", zorder=1)
    for place, group in zip(places, groups, strict=True):
        ends = [max(group[end], LOWEST) for end in ("ratio_low", "ratio_high")]
        axes.plot([place, place], ends, color=BLUE, linewidth=1.6, zorder=2)
    own = [max(group["own"], LOWEST) for group in groups]
    middle = [max(group["rate_ratio"], LOWEST) for group in groups]
    axes.plot(places, own, "o", markerfacecolor="white", markeredgecolor=GREY, markersize=6,
              label="own counts alone", zorder=3)  # fmt: skip
    axes.plot(places, middle, "o", color=BLUE, markersize=5, label="posterior median and interval", zorder=4)
    axes.set_yscale("log")
    top = max(*own, *(group["ratio_high"] for group in groups))
    axes.set_ylim(LOWEST * 0.85, top * 1.2)
    ticks = [tick for tick in TICKS if tick <= top]
    axes.set_yticks(ticks, labels=[f"{tick:g} ×" for tick in ticks], fontsize=9, color=INK)
    axes.minorticks_off()
    axes.set_xticks(places, labels=[_label(group) for group in groups], fontsize=8, color=INK)
    axes.set_xlim(-0.6, max(len(groups) - 0.4, 3.6))
    axes.set_xlabel(f"events of one of the {measured} (how many have so many)", fontsize=9, color=GREY)
    axes.set_ylabel("rate, of the average", fontsize=9, color=GREY)
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold", color=INK, parse_math=False)
    axes.grid(axis="y", color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.spines["bottom"].set_color(PALE)
    axes.legend(loc="upper left", frameon=False, fontsize=8)
    return axes


def _label(group: Mapping[str, Any]) -> str:
    fewest, most = group["fewest"], group["most"]
    return f"{fewest if fewest == most else f'{fewest}–{most}'}\n({group['units']:,})"
