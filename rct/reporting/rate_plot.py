"""Observed rates over time: by sequence where there are few, else by who is in training at the time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rct.reporting.okabe_ito import ARM_COLOURS, GREY, INK, PALE
from rct.reporting.schedule_picture import shown_periods

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from rct.panel import Panel

MOST_SEQUENCES = 3
THIN = 0.05


@dataclass(frozen=True)
class RateLine:
    """Events per so much exposure, period by period; NaN where a group has next to no exposure."""

    label: str
    arm: str
    rates: "NDArray[np.float64]"


def rate_lines(panel: "Panel", outcome: str, *, per: int) -> list[RateLine]:
    """Sum events and exposure by group and period, as events per `per` units of exposure.

    Groups are the sequences where there are at most three; otherwise the units not in training at the time,
    and those in training, arm by arm. Transition rows belong to no group, and a group
    with less than 5 % of a period's exposure has no rate there: it would be noise.
    """
    rows = panel.rows(outcome)
    treated = rows["treated"] > 0
    if panel.sequences["sequence"].nunique() <= MOST_SEQUENCES:
        names = _sequence_names(panel)
        label, arm = rows["sequence"].map(names), rows["arm"].where(rows["arm"].isin(panel.treatments), "")
    else:
        label = ("in training: " + rows["arm"]).where(treated, "not (yet) in training")
        arm = rows["arm"].where(treated, "")
    whole = rows.groupby("period")["exposure"].sum()
    sums = rows.groupby([label.rename("label"), arm.rename("group"), "period"])[["count", "exposure"]].sum()
    lines = []
    for (name, group), table in sums.groupby(level=["label", "group"]):
        by_period = table.droplevel(["label", "group"]).reindex(range(1, panel.periods + 1))
        enough = by_period["exposure"] >= THIN * whole.reindex(by_period.index)
        rates = (per * by_period["count"] / by_period["exposure"]).where(enough).to_numpy(dtype=float)
        lines.append(RateLine(str(name), str(group), rates))
    return sorted(lines, key=lambda line: (line.arm != "", line.label))


def treated_share(panel: "Panel") -> "pd.Series":
    """Give the share of exposure in training in each period; transition rows count as untreated."""
    frame = panel.frame
    exposed = frame["exposure"].astype(float)
    in_training = exposed.where(frame["treated"] > 0, 0.0)
    return in_training.groupby(frame["period"]).sum() / exposed.groupby(frame["period"]).sum()


def draw_rates(
    axes: "Axes", lines: Sequence[RateLine], *, arms: Sequence[str], title: str, unit: str
) -> "Axes":
    """Draw one outcome's lines, each labelled at its end.

    Parameters
    ----------
    arms
        Treatment arms in the order of their colours.
    unit
        What a rate is per, for the axis: "100 officers per month".
    """
    import numpy as np

    ends = []
    for line in lines:
        colour = ARM_COLOURS[list(arms).index(line.arm) % len(ARM_COLOURS)] if line.arm in arms else GREY
        periods = np.arange(1, len(line.rates) + 1)
        axes.plot(periods, line.rates, color=colour, linewidth=1.6, marker="o", markersize=3, clip_on=False)
        seen = np.flatnonzero(~np.isnan(line.rates))
        if len(seen):
            ends.append((float(line.rates[seen[-1]]), line.label, colour))
    top = max((float(np.nanmax(line.rates)) for line in lines if not np.isnan(line.rates).all()), default=1.0)
    axes.set_ylim(0, 1.12 * top or 1.0)
    heights = _spread([end for end, _, _ in ends], gap=0.13 * top)
    for height, (_, label, colour) in zip(heights, ends, strict=True):
        axes.annotate(
            label, (1, height), xycoords=("axes fraction", "data"), xytext=(6, 0), textcoords="offset points",
            va="center", fontsize=9, color=colour, parse_math=False,
        )  # fmt: skip
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold", color=INK, parse_math=False)
    axes.set_ylabel(f"events per\n{unit}", fontsize=9, color=GREY, parse_math=False)
    _plain_spines(axes)
    return axes


def draw_treated_share(axes: "Axes", share: "pd.Series", *, period_labels: Sequence[str]) -> "Axes":
    """Draw the share of units in training as steps, with the calendar below."""
    axes.bar(share.index, 100 * share, width=1.0, color=PALE, edgecolor="white", linewidth=0.6)
    axes.set_ylim(0, 105)
    axes.set_yticks([0, 50, 100], labels=["0 %", "50 %", "100 %"])
    axes.set_ylabel("in training", fontsize=9, color=GREY)
    periods = shown_periods(len(period_labels))
    axes.set_xticks(periods, labels=[period_labels[p - 1] for p in periods], parse_math=False)
    axes.set_xlim(0.5, len(period_labels) + 0.5)
    _plain_spines(axes)
    axes.tick_params(axis="x", pad=9)
    return axes


def _sequence_names(panel: "Panel") -> dict[int, str]:
    """Name each sequence by its arm, and by its first treated period where an arm has several."""
    units = panel.frame.drop_duplicates("sequence")
    labels = panel.frame.drop_duplicates("period").set_index("period")["period_label"].astype(str)
    several = units.loc[units["starts"] > 0, "arm"].duplicated(keep=False)
    names = {}
    for sequence, arm, starts in zip(units["sequence"], units["arm"], units["starts"], strict=True):
        crossing = f" from {labels[starts]}" if starts and several.any() else ""
        names[int(sequence)] = f"{arm}{crossing}"
    return names


def _spread(heights: Sequence[float], *, gap: float) -> list[float]:
    """Move labels apart, upwards, so that none is closer to the next than the gap."""
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    moved = list(heights)
    floor = -math.inf
    for i in order:
        moved[i] = max(heights[i], floor)
        floor = moved[i] + gap
    return moved


def _plain_spines(axes: "Axes") -> None:
    axes.tick_params(length=0, labelsize=9, labelcolor=INK)
    axes.grid(axis="y", color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["right", "top", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(PALE)
