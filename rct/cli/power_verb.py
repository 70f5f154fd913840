"""The verb that asks how likely the trial is to find what it looks for: power."""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rct.cli.arguments import AsJson, Quiet, RosterIfAny, SeedIfAny, TrialName, seed_if_any
from rct.cli.planning_tables import print_courses, print_designs, print_detectable
from rct.cli.printing import Printer, records

if TYPE_CHECKING:
    import pandas as pd

    from rct.power.trial_power import Power

CHECK_FAILED = 1
USUAL_POWER = 0.8


def power(
    trial: TrialName,
    *,
    roster: RosterIfAny = None,
    sims: Annotated[int, typer.Option("--sims", metavar="N", min=1, help="Simulated trials.")] = 1000,
    seed: SeedIfAny = None,
    workers: Annotated[
        int,
        typer.Option(
            "--workers", metavar="N", min=1, help="Processes; the result is the same for any number."
        ),
    ] = 1,
    history: Annotated[
        Path | None,
        typer.Option("--history", metavar="FILE", help="Earlier months, to learn from: a panel, or CSV."),
    ] = None,
    resample: Annotated[
        bool, typer.Option("--resample", help="Simulate on the months of --history themselves.")
    ] = False,
    detectable: Annotated[
        bool, typer.Option("--detectable", help="Search the smallest effects found in 80 % of studies too.")
    ] = False,
    courses: Annotated[
        bool, typer.Option("--courses", help="A wedge's two answers, if the effect grows, is late or fades.")
    ] = False,
    designs: Annotated[
        bool, typer.Option("--designs", help="The same officers and months as other designs too.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Folder for the study; a run that was stopped goes on."),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Simulate the trial many times and say how often its own analyses find the assumed effects.

    Exits with 1 when the primary analysis finds the effect on a primary outcome in less than 80 % of the
    simulated trials, the usual aim, and at once when no result of the trial could ever be significant.
    """
    import rct
    from rct.power import cannot_work, simulate
    from rct.power.detectable_effect import MOST
    from rct.power.history_file import read_history
    from rct.power.resampled_history import roster_of

    _require_history(history, resample=resample, alone=not (detectable or courses or designs))
    declared = rct.load(trial)
    past = None if history is None else read_history(history, declared)
    units = None if roster is None else rct.read_roster(roster)
    if units is None and past is not None:
        units = roster_of(past, declared)
    printer = Printer(as_json=as_json, quiet=quiet)
    if sentence := cannot_work(declared, units):
        printer.say(sentence, style="red")
        printer.result(
            {"trial": declared.name, "sentence": sentence, "cannot_work": True, "meets_target": False}
        )
        raise typer.Exit(CHECK_FAILED)
    with worker_pool(workers) as executor:
        with kept_when_stopped(printer, out), progress_bar(printer, sims) as progress:
            found = simulate(
                declared, units, sims=sims, seed=seed_if_any(seed), executor=executor, history=past,
                resample=resample, checkpoints=out, progress=progress,
            )  # fmt: skip
        if out is not None:
            found.write(out)
        print_power(printer, found)
        given: dict[str, Any] = {"seed": found.seed, "executor": executor}
        more: dict[str, Any] = {"schedule": "" if units is not None else _advised(printer, found, executor)}
        print_assumptions(printer, found)
        if detectable:
            most = max(sims, MOST)  # the search ends by itself, mostly far below
            more["detectable"] = print_detectable(printer, found.trial, units, sims=most, **given)
        if courses:
            more["courses"] = print_courses(printer, found.trial, units, out=out, sims=sims, **given)
        if designs:
            more["designs"] = print_designs(printer, found.trial, out=out, sims=sims, **given)
    if out is not None:
        printer.say(f"Wrote {out}.")
    printer.result(_power_result(found, out) | more)
    if not found.meets(USUAL_POWER):
        raise typer.Exit(CHECK_FAILED)


def _require_history(history: Path | None, *, resample: bool, alone: bool) -> None:
    from rct.errors import RctError

    if resample and history is None:
        raise RctError("--resample takes the months of --history: give that file too")
    if resample and not alone:
        raise RctError(
            "--resample puts the trial itself on real months; --detectable, --courses and --designs simulate "
            "from what the history teaches: leave --resample out for them"
        )


def _advised(printer: Printer, found: "Power", executor: Executor | None) -> str:
    """Say what the schedule alone would change, where the trial falls short."""
    from rct.power.design_comparison import spread_advice

    advice = "" if found.meets(USUAL_POWER) else spread_advice(found, executor=executor)
    if advice:
        printer.say(advice)
    return advice


def _power_result(found: "Power", folder: Path | None) -> dict[str, Any]:
    return {
        "trial": found.trial.name,
        "seed": found.seed,
        "power": records(found.frame),
        "family": records(found.family),
        "verdicts": found.verdicts,
        "sentence": found.sentence,
        "notes": found.notes,
        "cannot_work": bool(found.impossible),
        "target": USUAL_POWER,
        "meets_target": found.meets(USUAL_POWER),
        "folder": None if folder is None else str(folder),
    }


def print_power(printer: Printer, found: "Power") -> None:
    """Print the power of each analysis of each outcome, and the verdict in words."""
    from rct.reporting.number_format import decimal, percent, share
    from rct.reporting.report_units import report_units

    words = report_units(found.trial)
    figures = (
        "true change", "power", "±", "false positives", "bias", "coverage", "wrong sign", "exaggerates",
        "no estimate",
    )  # fmt: skip
    for line in [found.impossible] if found.impossible else found.verdicts:
        printer.say(line)
    printer.say(found.heading)
    rows = [
        (
            words.label(row["outcome"]),
            row["analysis"],
            percent(100 * (row["effect"] - 1)),
            share(row["power"]),
            share(row["mc_error"]),
            share(row["false_positive"]),
            decimal(row["bias"], decimals=3),
            share(row["coverage"]),
            share(row["type_s"]),
            _times(row["type_m"]),
            share(row["failed"] / row["sims"]),
        )
        for row in records(found.frame)
    ]
    printer.table(("outcome", "analysis", *figures), rows, numeric=figures)
    printer.say(_family_in_words(found))
    for line in found.notes:
        printer.say(line)
    enough = found.meets(USUAL_POWER)
    verdict = "reaches" if enough else "does not reach"
    printer.say(
        f"For the primary outcome the primary analysis {verdict} the usual 80 %.",
        style="green" if enough else "yellow",
    )


def _times(factor: float) -> str:
    from rct.reporting.number_format import NONE, decimal

    return NONE if math.isnan(factor) else f"× {decimal(factor, decimals=1)}"


def print_assumptions(printer: Printer, found: "Power") -> None:
    """Print what was assumed."""
    from rct.cli.trial_in_words import assumptions_in_words

    for line in assumptions_in_words(found.trial):
        printer.say(line)


@contextmanager
def kept_when_stopped(printer: Printer, out: Path | None) -> Iterator[None]:
    """Say after Ctrl-C that what was simulated so far is kept, where it is."""
    try:
        yield
    except KeyboardInterrupt:
        if out is not None:
            printer.note(f"{out} keeps each whole block of 64 simulated trials; the same command goes on.")
        raise


@contextmanager
def worker_pool(workers: int) -> Iterator[Executor | None]:
    """Open a pool of processes; none where one process is enough."""
    if workers == 1:
        yield None
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    # Forking a process whose libraries hold threads can deadlock, so workers start afresh.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def progress_bar(printer: Printer, total: int) -> "Iterator[Callable[[int, int, pd.DataFrame], None] | None]":
    """Show a bar with the time left on stderr, unless quiet."""
    if printer.quiet:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("simulating trials"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)

        def show(done: int, total: int, so_far: "pd.DataFrame") -> None:
            bar.update(task, completed=done, total=total, description=running_estimate(so_far))

        yield show


def running_estimate(so_far: "pd.DataFrame") -> str:
    """Give the power of the first row of a study that is going on, with its Monte-Carlo error."""
    row = so_far.iloc[0]
    return f"{row['outcome']}: {100 * row['power']:.0f} % ± {100 * row['mc_error']:.1f}"


def _family_in_words(found: "Power") -> str:
    """Say how often any and all outcomes are detected, after the declared adjustment."""
    from rct.cli.trial_in_words import MULTIPLICITY

    outcomes = len(found.trial.outcomes)
    if outcomes == 1:
        return "One outcome: nothing to adjust for."
    adjustment = MULTIPLICITY[found.trial.analysis.multiplicity]
    lines = []
    for arm, rows in found.family.groupby("arm", sort=False):
        power = rows.set_index("detected")["power"]
        of_arm = f"{arm}: " if len(found.trial.arms.treatments) > 1 else ""
        lines.append(
            f"{of_arm}With {adjustment}, {100 * power['any']:.0f} % of studies detect at least one of the "
            f"{outcomes} outcomes and {100 * power['all']:.0f} % all of them."
        )
    return "\n".join(lines)
