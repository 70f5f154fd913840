"""How far each agency's change is drawn towards the others': its own counts above, its posterior below."""

from typing import TYPE_CHECKING

from rct.reporting.forest_plot import dress_ratio_axis
from rct.reporting.okabe_ito import BLACK, BLUE, GREY, INK, VERMILLION
from rct.reporting.ratio_scale import log_ratio, ratio_span

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

COLOURS = {"cannot tell": GREY, "fell": BLUE, "rose": VERMILLION}
HEIGHT = 3.6


def draw_shrinkage(axes: "Axes", table: "pd.DataFrame", *, mean: float) -> "Axes":
    """Draw a line for each agency from its own counts' change to its posterior median.

    Parameters
    ----------
    table
        Of :func:`rct.bayesian.agency_table`. Agencies whose own counts give no ratio have a point below
        alone; a change beyond tenfold stands at the picture's edge.
    mean
        Percent change of the average agency, the vertical line.
    """
    known = table["raw_percent_change"].notna()
    span = ratio_span([*table.loc[known, "raw_percent_change"], *table["percent_change"]])
    axes.axvline(0, color=BLACK, linewidth=0.8, zorder=1)
    axes.axvline(log_ratio(mean), color=INK, linewidth=1.0, linestyle="--", zorder=1)
    faint = min(1.0, max(0.15, 30 / len(table)))
    for verdict, colour in COLOURS.items():
        one = table[table["verdict"] == verdict]
        below = [min(max(log_ratio(p), span[0]), span[1]) for p in one["percent_change"]]
        own = [min(max(log_ratio(p), span[0]), span[1]) for p in one["raw_percent_change"]]
        strong = faint if verdict == "cannot tell" else 0.9
        axes.plot([own, below], [[1] * len(one), [0] * len(one)], color=colour, alpha=strong, linewidth=0.8)
        axes.plot(own, [1] * len(one), "o", color=colour, alpha=strong, markersize=3.5)
        axes.plot(below, [0] * len(one), "o", color=colour, alpha=strong, markersize=3.5,
                  label=f"{verdict} ({len(one)})")  # fmt: skip
    dress_ratio_axis(axes, span)
    axes.set_ylim(-0.25, 1.25)
    axes.set_yticks([1, 0], labels=["own counts\nalone", "drawn towards\nthe others"], fontsize=9, color=INK)
    legend = axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.14), ncols=3, frameon=False, fontsize=9)
    for handle in filter(None, legend.legend_handles):
        handle.set_alpha(1.0)
    return axes
