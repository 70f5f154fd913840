"""Verbs about a trial file before anything is randomized: designs, schema, new, check."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rct.cli.arguments import AsJson, ExposureIfAny, IncidentFilesIfAny, RosterIfAny, TrialName
from rct.cli.panel_verbs import print_problems
from rct.cli.printing import Printer, json_text, records
from rct.errors import RctError, TrialError

if TYPE_CHECKING:
    import pandas as pd

    from rct.randomization import Allocation
    from rct.trial import Trial

CHECK_FAILED = 1


def designs(*, as_json: AsJson = False) -> None:
    """List the trials that come with rct."""
    import rct

    printer = Printer(as_json=as_json)
    trials = {name: rct.load(name) for name in rct.designs()}
    printer.table(
        ("name", "trial", "question"),
        [(name, trial.name, trial.question) for name, trial in trials.items()],
    )
    printer.say("Copy one with rct new PATH --from NAME.")
    printer.result(
        {
            "designs": [
                {"name": n, "trial": trial.name, "question": trial.question} for n, trial in trials.items()
            ]
        }
    )


def schema(
    *,
    of: Annotated[
        Literal["trial", "certificate", "commitment"],
        typer.Option("--of", help="The trial file, or the JSON that randomizations leave."),
    ] = "trial",
) -> None:
    """Print the JSON Schema of a trial file, with which editors complete and check it."""
    from rct.cli.trial_schema import trial_schema
    from rct.randomization.certificate_schema import json_schema

    print(json_text(trial_schema() if of == "trial" else json_schema(of)))


def new(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The file to write; it must not exist yet.")],
    *,
    design: Annotated[
        str,
        typer.Option("--from", metavar="DESIGN", help="Shipped trial to start from; rct designs lists them."),
    ] = "louisville_icat",
    as_json: AsJson = False,
) -> None:
    """Write a commented trial file to start from."""
    import rct

    text = rct.load(design).source
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise RctError(f"{path} is already there and is left as it is; choose another name") from None
    printer = Printer(as_json=as_json)
    printer.say(f"Wrote {path}, a copy of {design}. Edit it, then: rct check {path}")
    printer.result({"path": str(path), "design": design})


def check(
    trial: TrialName,
    *,
    roster: RosterIfAny = None,
    incidents: IncidentFilesIfAny = None,
    exposure: ExposureIfAny = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 when there is anything to note.")
    ] = False,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the notes only.")] = False,
) -> None:
    """Read a trial, a roster and files of incidents, and say what they promise and what they cannot.

    Nothing is written. Without a roster, the units that the trial's power table assumes are taken. Incidents
    may be of before the trial: every column and condition is tried on them.
    """
    import rct
    from rct import analysis
    from rct.cli.trial_in_words import assumptions_in_words, records_in_words, trial_in_words

    declared = rct.load(trial)
    analysis.check(declared)
    allocation, notes = _trial_run(declared, roster)
    problems = _records_run(declared, allocation, incidents, exposure, assumed=roster is None)
    words = [*trial_in_words(declared, allocation, assumed=roster is None), records_in_words(declared)]
    printer = Printer(as_json=as_json, quiet=quiet)
    if not quiet:
        printer.say(declared.name, style="bold")
        for line in [*words, *assumptions_in_words(declared)]:
            printer.say(line)
    for note in notes:
        printer.say(f"note: {note}", style="yellow")
    if not notes and problems.empty:
        printer.say("Nothing to note.", style="green")
    print_problems(printer, problems)
    found = _check_result(declared, allocation, words=words, notes=notes)
    printer.result({**found, "problems": records(problems)})
    if strict and (notes or len(problems)):
        raise typer.Exit(CHECK_FAILED)


def _trial_run(trial: "Trial", roster: Path | None) -> "tuple[Allocation | None, tuple[str, ...]]":
    """Randomize without keeping it, so that whatever would stop the randomization stops the check."""
    import rct
    from rct import analysis
    from rct.randomization import balance_table
    from rct.simulation import synthetic_roster

    try:
        units = synthetic_roster(trial) if roster is None else rct.read_roster(roster)
    except TrialError as error:
        return None, (f"How many units there are is not known yet: {error}",)
    allocation = rct.randomize(trial, units, seed="check")
    if roster is not None:
        balance_table(allocation)
    if roster is not None or not trial.analysis.covariates:
        analysis.rehearse(trial, allocation)
    return allocation, analysis.notes(trial, allocation)


def _records_run(
    trial: "Trial",
    allocation: "Allocation | None",
    incidents: list[Path] | None,
    exposure: Path | None,
    *,
    assumed: bool,
) -> "pd.DataFrame":
    """Count the incidents without keeping a count, so that whatever would stop the panel stops the check."""
    import pandas as pd

    from rct.records import records_problems

    if not incidents:
        if exposure:
            raise RctError("--exposure is read with the incidents: give --incidents FILE too")
        return pd.DataFrame()
    if allocation is None or (assumed and trial.schedule.kind != "shifts"):
        raise RctError("--incidents needs --roster FILE too: it says whose incidents they are")
    return records_problems(trial, allocation, incidents=incidents, exposure=exposure)


def _check_result(
    trial: "Trial", allocation: "Allocation | None", *, words: list[str], notes: tuple[str, ...]
) -> dict[str, Any]:
    from rct.cli.trial_in_words import size_in_words

    return {
        "trial": trial.name,
        "hash": trial.hash,
        "design_hash": trial.design_hash,
        "randomized_units": None if allocation is None else len(allocation.frame),
        "measured_units": None if allocation is None else len(allocation.roster),
        "sequences": None if allocation is None else len(allocation.plan.sequences),
        "allocations": None if allocation is None else size_in_words(allocation.space),
        "smallest_p": None if allocation is None else allocation.smallest_p,
        "says": words,
        "assumptions": trial.power.assumptions,
        "notes": notes,
    }
