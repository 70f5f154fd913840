"""What rct power tells beyond power: detectable effects, a wedge's two answers, other designs."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rct.cli.printing import Printer, records

if TYPE_CHECKING:
    import pandas as pd

    from rct.trial import Trial


def print_detectable(
    printer: Printer, trial: "Trial", units: "pd.DataFrame | None", **given: Any
) -> list[dict[str, Any]]:
    """Search and print the smallest effect that the primary analysis finds with the usual 80 %."""
    from rct.power import detectable
    from rct.power.detectable_effect import too_few
    from rct.reporting.number_format import signed
    from rct.reporting.report_units import report_units

    words = report_units(trial)
    with printer.waiting("Searching the smallest detectable effects."):
        found = detectable(trial, units, **given)
    for row in records(found.frame):
        label = words.label(row["outcome"])
        if math.isnan(row["ratio"]):
            printer.say(f"{label}: no change, however large, is found in 80 % of studies.")
            continue
        if too_few(row):
            printer.say(
                f"{label}: {row['sims']:,} simulations are too few to tell the smallest change found in "
                f"80 % of studies; give --sims {row['sims_needed']}."
            )
            continue
        low, high = (signed(100 * (row[end] - 1), decimals=0) for end in ("ratio_low", "ratio_high"))
        printer.say(
            f"{label}: the smallest change found in 80 % of studies is "
            f"{signed(row['percent_change'], decimals=0)} % (by simulation {low} to {high} %)."
        )
    return records(found.frame)


def print_courses(
    printer: Printer, trial: "Trial", units: "pd.DataFrame | None", *, out: Path | None, **given: Any
) -> list[dict[str, Any]]:
    """Simulate and print a wedge's two answers; give them as records."""
    return records(courses_of(printer, trial, units, out=out, **given))


def courses_of(
    printer: Printer, trial: "Trial", units: "pd.DataFrame | None", *, out: Path | None, **given: Any
) -> "pd.DataFrame":
    """Simulate and print a wedge's two answers under constant, growing, late and fading effects."""
    from rct.power import two_answers
    from rct.reporting.number_format import decimal, percent, share
    from rct.reporting.planning_plots import two_answers_svg
    from rct.reporting.report_units import report_units

    words = report_units(trial)
    with printer.waiting("Simulating the two answers under four courses of the effect."):
        found = two_answers(trial, units, **given)
    figures = ("mean effect", "p ≤ alpha", "±", "interval excludes no change", "bias", "coverage")
    rows = [
        (
            words.label(row["outcome"]),
            row["course"],
            row["answer"],
            percent(100 * (row["mean_effect"] - 1)),
            share(row["power"]),
            share(row["mc_error"]),
            share(row["excludes_null"]),
            decimal(row["bias"], decimals=3),
            share(row["coverage"]),
        )
        for row in records(found)
    ]
    printer.table(("outcome", "effect", "answer", *figures), rows, numeric=figures)
    if out is not None:
        name = _primary(trial)
        _kept(out, "two_answers", found, two_answers_svg(found, name, words.label(name)))
    return found


def print_designs(
    printer: Printer, trial: "Trial", *, out: Path | None, **given: Any
) -> list[dict[str, Any]]:
    """Simulate and print the same officers and months as different designs."""
    from rct.power import compare_designs
    from rct.reporting.number_format import share
    from rct.reporting.planning_plots import designs_svg
    from rct.reporting.report_units import report_units

    words = report_units(trial)
    with printer.waiting("Simulating the same officers and months as other designs."):
        found = compare_designs(trial, **given)
    figures = ("randomized", "treated time", "power", "±")
    name = _primary(trial)
    rows = [
        (
            row["design"],
            f"{row['randomized']:,}",
            share(row["treated"]),
            share(row["power"]),
            share(row["mc_error"]),
            row["note"],
        )
        for row in records(found[found["outcome"] == name])
    ]
    printer.say(f"{words.label(name)}, as designs of the same officers and months:")
    printer.table(("design", *figures, "why"), rows, numeric=figures)
    if out is not None:
        _kept(out, "designs", found, designs_svg(found, name, words.label(name)))
    return records(found)


def _primary(trial: "Trial") -> str:
    return next(outcome.name for outcome in trial.outcomes if outcome.primary)


def _kept(folder: Path, name: str, frame: "pd.DataFrame", picture: str) -> None:
    from rct.reporting.figure_markup import svg_file

    folder.mkdir(parents=True, exist_ok=True)
    frame.to_csv(folder / f"{name}.csv", index=False)
    (folder / f"{name}.svg").write_text(svg_file(picture), encoding="utf-8")
