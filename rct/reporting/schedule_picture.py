"""The picture of a schedule: randomized units by period, in the order in which they cross."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rct.reporting.okabe_ito import ARM_COLOURS, GREY, INK, PALE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

MOST_ROWS = 36


@dataclass(frozen=True)
class ScheduleRow:
    """One row of the picture: a randomized unit, or the units of one sequence where there are many.

    ``arms`` and ``doses`` have one entry per period; a dose of NaN is a transition period.
    """

    label: str
    starts: int
    arms: tuple[str, ...]
    doses: tuple[float, ...]


@dataclass(frozen=True)
class Stretch:
    """Successive periods of one row that look alike: first period, number of periods, arm, dose."""

    first: int
    length: int
    arm: str
    dose: float


def schedule_rows(units: "pd.DataFrame", sequences: "pd.DataFrame", *, noun: str) -> list[ScheduleRow]:
    """Give the rows from the top down, first to cross first and never treated last.

    Parameters
    ----------
    units
        One row per randomized unit: unit, sequence, starts (0 = never).
    sequences
        One row per sequence and period: sequence, period, arm, dose.
    noun
        What several randomized units are called, for rows of many.
    """
    by_sequence = {
        number: (tuple(table["arm"]), tuple(table["dose"].astype(float)))
        for number, table in sequences.sort_values("period").groupby("sequence")
    }
    if len(units) <= MOST_ROWS:
        rows = [
            ScheduleRow(str(unit), int(starts), *by_sequence[sequence])
            for unit, sequence, starts in zip(units["unit"], units["sequence"], units["starts"], strict=True)
        ]
    else:
        grouped = units.groupby("sequence").agg(starts=("starts", "first"), size=("unit", "size"))
        rows = [
            ScheduleRow(f"{size:,} {noun}", int(starts), *by_sequence[sequence])
            for sequence, starts, size in zip(grouped.index, grouped["starts"], grouped["size"], strict=True)
        ]
    return sorted(rows, key=lambda row: (row.starts or math.inf, row.arms, row.label))


def schedule_height(rows: list[ScheduleRow]) -> float:
    """Give the height in inches at which the rows are easily read."""
    return 0.75 + len(rows) * (0.27 if len(rows) <= MOST_ROWS else 0.16)


def draw_schedule(
    axes: "Axes", rows: list[ScheduleRow], *, control: str, period: str, period_labels: list[str]
) -> "Axes":
    """Draw each row's periods, coloured by arm and dose; transition periods are hatched.

    Parameters
    ----------
    control
        Name of the control arm, for the label of untreated periods.
    period
        Name of a period, for the axis: "month".
    period_labels
        One for each period; a few of them are printed below the axis.
    """
    arms = list(dict.fromkeys(s.arm for row in rows for s in _stretches(row) if s.dose > 0))
    colours = dict(zip(arms, ARM_COLOURS * (1 + len(arms) // len(ARM_COLOURS)), strict=False))
    top = max((s.dose for row in rows for s in _stretches(row) if s.dose > 0), default=1.0)
    for place, row in enumerate(rows):
        for stretch in _stretches(row):
            _draw_stretch(axes, place, stretch, colour=colours.get(stretch.arm, PALE), top=top)
    if len(period_labels) <= MOST_ROWS:
        for edge in range(1, len(period_labels)):
            axes.axvline(edge + 0.5, color="white", linewidth=0.8)
    _label_stretches(axes, rows, control=control, colours=colours, top=top)
    _dress(axes, [row.label for row in rows], period_labels)
    axes.set_xlabel(period, color=GREY, fontsize=9, parse_math=False)
    return axes


def _stretches(row: ScheduleRow) -> Iterator[Stretch]:
    looks = [
        (arm if dose > 0 or math.isnan(dose) else "", -1.0 if math.isnan(dose) else dose)
        for arm, dose in zip(row.arms, row.doses, strict=True)
    ]
    first = 0
    for place in range(1, len(looks) + 1):
        if place == len(looks) or looks[place] != looks[first]:
            arm, dose = looks[first]
            yield Stretch(first + 1, place - first, arm, math.nan if dose < 0 else dose)
            first = place


def _draw_stretch(axes: "Axes", place: int, stretch: Stretch, *, colour: str, top: float) -> None:
    transition = math.isnan(stretch.dose)
    axes.broken_barh(
        [(stretch.first - 0.5, stretch.length)],
        (place - 0.42, 0.84),
        facecolor="white" if transition else _shade(colour, stretch.dose / top),
        edgecolor=colour if transition else "none",
        hatch="////" if transition else None,
        linewidth=0,
    )


def _shade(colour: str, share: float) -> tuple[float, ...]:
    """Mix an arm's colour with white for doses below the highest; no dose has its own pale colour."""
    from matplotlib.colors import to_rgb

    if share == 0:
        return to_rgb(PALE)
    depth = 0.35 + 0.65 * share
    return tuple(1 - depth * (1 - part) for part in to_rgb(colour))


def _label_stretches(
    axes: "Axes", rows: list[ScheduleRow], *, control: str, colours: dict[str, str], top: float
) -> None:
    """Write each arm's name once, on its longest stretch."""
    longest: dict[tuple[str, float], tuple[int, Stretch]] = {}
    for place, row in enumerate(rows):
        for stretch in _stretches(row):
            key = (stretch.arm, stretch.dose) if not math.isnan(stretch.dose) else ("", -1.0)
            if key not in longest or stretch.length > longest[key][1].length:
                longest[key] = (place, stretch)
    doses = {dose for _, dose in longest if dose > 0}
    for (arm, dose), (place, stretch) in longest.items():
        name = control if dose == 0 else "transition" if dose < 0 else arm
        ground = "white" if dose < 0 else _shade(colours.get(arm, PALE), dose / top)
        axes.text(
            stretch.first - 0.5 + stretch.length / 2,
            place,
            f"{name} (dose {dose:g})" if dose > 0 and len(doses) > 1 else name,
            ha="center",
            va="center",
            fontsize=9,
            color="white" if dose > 0 else INK,
            fontweight="bold" if dose > 0 else "normal",
            bbox={"facecolor": ground, "edgecolor": "none", "pad": 1.5},
            parse_math=False,
        )


def _dress(axes: "Axes", names: list[str], period_labels: list[str]) -> None:
    axes.set_yticks(range(len(names)), labels=names, parse_math=False, color=INK)
    axes.tick_params(axis="y", labelsize=9 if len(names) <= MOST_ROWS else 7)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0.5, len(period_labels) + 0.5)
    periods = shown_periods(len(period_labels))
    axes.set_xticks(
        periods, labels=[period_labels[p - 1] for p in periods], parse_math=False, color=INK, fontsize=9
    )
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def shown_periods(periods: int) -> list[int]:
    """Choose at most nine periods, evenly spaced from the first, whose labels are printed."""
    step = max(1, math.ceil(periods / 9))
    if periods > 12:
        step = next(s for s in (2, 3, 4, 6, 12, 24, 36, 48, 60, 120, 240, 10**9) if s >= step)
    return list(range(1, periods + 1, step))
