"""Verbs that answer: estimate, report."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rct.cli.amendments import amendment_note, require_same_design
from rct.cli.arguments import AllocationIfAny, AsJson, PanelFile, Quiet, SeedIfAny, TrialName, seed_if_any
from rct.cli.printing import Printer, records

if TYPE_CHECKING:
    import pandas as pd

    from rct.estimates import Estimate, Estimates
    from rct.panel import Panel
    from rct.power import Power
    from rct.randomization import Allocation
    from rct.trial import Trial

SIMULATED = "These data are simulated: the figures say nothing about any real training."


def estimate(
    trial: TrialName,
    *,
    panel: PanelFile,
    allocation: AllocationIfAny = None,
    seed: SeedIfAny = None,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder for the estimates.")],
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Run every analysis that the trial promises, on all its outcomes."""
    from rct.estimates import refuse_other_files

    refuse_other_files(out)
    printer = Printer(as_json=as_json, quiet=quiet)
    declared, measured, given = _read(printer, trial, panel, allocation)
    results = _estimated(printer, declared, measured, given, seed=seed_if_any(seed))
    results.write(out)
    print_estimates(printer, results, declared)
    printer.say(f"Wrote {out}.")
    printer.result(
        {
            "folder": str(out),
            "simulated": bool(measured.meta.get("simulated", False)),
            "estimates": records(results.frame),
        }
    )


def report(
    trial: TrialName,
    *,
    panel: PanelFile,
    allocation: AllocationIfAny = None,
    estimates: Annotated[
        Path | None,
        typer.Option(
            "--estimates",
            metavar="FOLDER",
            help="Folder that rct estimate wrote; absent: they are estimated first.",
        ),
    ] = None,
    power: Annotated[
        Path | None,
        typer.Option(
            "--power",
            metavar="FOLDER",
            help="Folder that rct power wrote before the trial: what the design could have seen.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The HTML file to write.")],
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write the report: one HTML file with design, effects, methods, warnings and hashes."""
    import rct
    from rct.reporting.provenance import mismatches

    if out.is_dir():
        raise rct.DataError(f"{out} is a folder; name the file to write, such as report.html")
    printer = Printer(as_json=as_json, quiet=quiet)
    declared, measured, given = _read(printer, trial, panel, allocation)
    if estimates is None:
        results = _estimated(printer, declared, measured, given, seed=None)
    else:
        results = rct.Estimates.read(estimates)
    planned, courses = (None, None) if power is None else _planned(power, declared)
    written = rct.report(
        declared, results, panel=measured, allocation=given, path=out, power=planned, courses=courses
    )
    for text in mismatches(declared, results, measured):
        printer.note(text)
    simulated = any(made.meta.get("simulated", False) for made in (measured, results))
    if simulated:
        printer.say(SIMULATED, style="yellow")
    printer.say(f"Wrote {written}; open it in a browser.")
    printer.result({"path": str(written), "simulated": simulated, "estimates": len(results)})


def _planned(folder: Path, trial: "Trial") -> "tuple[Power, pd.DataFrame | None]":
    """Read the study of power made before the trial, and a wedge's two answers where it has them."""
    import pandas as pd

    import rct
    from rct.power import Power

    found = Power.read(folder)
    if found.trial.design_hash != trial.design_hash:
        raise rct.DataError(
            f"{folder} holds the power of another design ({found.trial.name}): simulate that of this trial, "
            "or leave --power out"
        )
    answers = folder / "two_answers.csv"
    return found, pd.read_csv(answers) if answers.is_file() else None


def print_estimates(printer: Printer, results: "Estimates", trial: "Trial") -> None:
    """Print one row per effect, then each warning once."""
    from rct.analysis import label
    from rct.reporting.report_units import report_units

    words = report_units(trial)
    promised = [label(spec) for spec in (trial.analysis.primary, *trial.analysis.secondary)]
    several = len(results) > len(promised) * len(trial.outcomes)
    figures = ("change", "interval", "p", "P(reduction)")
    rows = [
        (
            words.label(row.outcome),
            promised[row.notes["analysis"]],
            *([row.term] if several else []),
            *_effect_cells(row),
        )
        for row in results
    ]
    titles = ("outcome", "analysis", *(["effect"] if several else []))
    printer.table((*titles, *figures), rows, numeric=figures)
    adjusted = trial.analysis.multiplicity
    if any(_is_adjusted(row) for row in results):
        printer.say(f"p in brackets: after {adjusted.title()}'s adjustment over the outcomes.")
    for warning in dict.fromkeys(row.warning for row in results if row.warning):
        about = [row for row in results if row.warning == warning]
        named = dict.fromkeys(words.label(row.outcome) for row in about)
        analyses = dict.fromkeys(promised[row.notes["analysis"]] for row in about)
        printer.say(f"warning ({', '.join(named)}; {', '.join(analyses)}): {warning}", style="yellow")
    if results.meta.get("simulated"):
        printer.say(SIMULATED, style="yellow")


def _effect_cells(row: "Estimate") -> tuple[str, ...]:
    from rct.reporting.number_format import p_value, percent, probability, signed

    low, high = row.percent_interval
    p = p_value(row.p_value)
    if _is_adjusted(row):
        p = f"{p} ({p_value(row.p_adjusted)})"
    interval = "–" if math.isnan(low) else f"{signed(low)} to {signed(high)} %"
    return percent(row.percent_change), interval, p, probability(row.probability_reduced)


def _is_adjusted(row: "Estimate") -> bool:
    return not math.isnan(row.p_adjusted) and row.p_adjusted != row.p_value


def _read(
    printer: Printer, trial: str, panel: Path, allocation: Path | None
) -> "tuple[Trial, Panel, Allocation | None]":
    import rct
    from rct import analysis

    declared = rct.load(trial)
    analysis.check(declared)
    given = rct.Allocation.read(allocation) if allocation else None
    note = amendment_note(declared, given)
    if note:
        printer.note(note)
    measured = rct.Panel.read(panel)
    require_same_design(declared, measured)
    return declared, measured, given


def _estimated(
    printer: Printer, trial: "Trial", panel: "Panel", allocation: "Allocation | None", *, seed: int | None
) -> "Estimates":
    import rct

    with printer.waiting(in_hand(trial)):
        return rct.estimate(trial, panel, allocation=allocation, seed=seed)


def in_hand(trial: "Trial") -> str:
    """Say what an estimation does, for somebody who waits for it."""
    promised = (trial.analysis.primary, *trial.analysis.secondary)
    names = ", ".join(outcome.name for outcome in trial.outcomes)
    long = any(spec.estimator == "bayesian" for spec in promised)
    patience = "; a Bayesian model takes up to a minute" if long else ""
    return f"Estimating {names}: {len(promised)} promised analyses{patience} …"
