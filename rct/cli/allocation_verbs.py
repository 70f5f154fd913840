"""Verbs about the randomization: commit, randomize, verify."""

import re
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rct.cli.arguments import AsJson, Quiet, RosterIfAny, RosterOrCalendar, TrialName
from rct.cli.ledger_verb import is_ledger, verify_enrolment
from rct.cli.printing import Printer, records
from rct.errors import RctError

if TYPE_CHECKING:
    import pandas as pd

    from rct.randomization import Allocation
    from rct.trial import Trial

CHECK_FAILED = 1
UNITS_NAMED = 60


def commit(
    trial: TrialName,
    *,
    roster: RosterOrCalendar = None,
    source: Annotated[
        str,
        typer.Option(
            "--source",
            metavar="TEXT",
            help="The public source of the seed, and how its value is written: "
            '"state lottery, evening draw, numbers in rising order".',
        ),
    ],
    round_: Annotated[
        str, typer.Option("--round", metavar="TEXT", help="Which draw of it; it must still be to come.")
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="JSON file to write; it must not exist.")
    ],
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Fix a trial and a roster before a public draw, so that nobody can choose the allocation.

    Give the file to a third party before the draw; after it, randomize with the file and the value drawn.
    """
    import rct
    from rct import analysis

    declared = rct.load(trial)
    analysis.check(declared)
    commitment = rct.commit(declared, roster_or_calendar(declared, roster), source=source, round=round_)
    commitment.write(out)
    printer = Printer(as_json=as_json, quiet=quiet)
    printer.say(f"Wrote {out}. Commitment: {commitment.hash}")
    if is_over(round_):
        printer.note(
            f"{round_} is over: if its value is known already, this commitment proves nothing. "
            "Commit to a round that is still to come."
        )
    printer.say(
        f"Give it, now, to somebody who keeps it and notes the day. Once {source}, {round_}, is known:"
    )
    given = "" if roster is None else f" --roster {roster}"
    printer.say(f'rct randomize {trial}{given} --commitment {out} --value "…" --out allocation')
    printer.result({"file": str(out), **commitment.record})


def is_over(round_: str) -> bool:
    """Say whether a round names a day that has passed."""
    named = re.search(r"\b\d{4}-\d{2}-\d{2}\b", round_)
    try:
        return named is not None and date.fromisoformat(named[0]) < date.today()
    except ValueError:
        return False


def randomize(
    trial: TrialName,
    *,
    roster: RosterOrCalendar = None,
    seed: Annotated[
        str | None,
        typer.Option(
            "--seed", metavar="TEXT", help="Any text; the allocation follows from it, the design and the ids."
        ),
    ] = None,
    commitment: Annotated[
        Path | None,
        typer.Option(
            "--commitment", metavar="FILE", help="Instead of --seed: what rct commit wrote, with --value."
        ),
    ] = None,
    value: Annotated[
        str | None, typer.Option("--value", metavar="TEXT", help="What was drawn in the committed round.")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="Folder to write; it must be empty or not exist.")
    ],
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Randomize a roster as the trial declares, and write the allocation with its certificate.

    The seed is typed (--seed), or comes from a public draw that was committed to (--commitment, --value).
    """
    import rct
    from rct import analysis
    from rct.randomization import block_counts

    declared = rct.load(trial)
    analysis.check(declared)
    units = roster_or_calendar(declared, roster)
    allocation = rct.randomize(declared, units, seed=seed, commitment=commitment, value=value)
    analysis.rehearse(declared, allocation)
    allocation.write(out)
    printer = Printer(as_json=as_json, quiet=quiet)
    print_counts(printer, allocation)
    certificate = allocation.certificate
    printer.say(f"Wrote {out}: who follows which sequence, and the certificate.")
    printer.say(f"Level: {certificate['level']}. {certificate['proves']}")
    printer.say(f"What it does not prove: {certificate['does_not_prove']}", style="yellow")
    copy = " --commitment THEIR_COPY" if commitment else ""
    printer.say(f"Check it: rct verify {out} --roster {roster or out / 'roster.csv'}{copy}")
    printer.result(
        {
            "folder": str(out),
            "trial": declared.name,
            "design_hash": declared.design_hash,
            **{key: certificate[key] for key in ("seed", "level", "proves", "does_not_prove", "roster_hash")},
            "counts": records(block_counts(allocation)),
        }
    )


def roster_or_calendar(trial: "Trial", roster: Path | None) -> "pd.DataFrame":
    """Read the roster; a trial of shifts without one has the cells of its calendar.

    Raises
    ------
    RctError
        When any other trial has none.
    """
    import rct
    from rct.randomization import shift_cells

    if roster is not None:
        return rct.read_roster(roster)
    if trial.schedule.kind == "shifts":
        return shift_cells(trial)
    raise RctError(f"{trial.name} needs a roster: --roster FILE, a CSV with one row per measured unit")


def print_counts(printer: Printer, allocation: "Allocation") -> None:
    """Print how many units follow each sequence, block by block."""
    from rct.randomization import block_counts
    from rct.reporting.report_units import report_units

    words = report_units(allocation.trial)
    same = allocation.trial.units.randomize == allocation.trial.units.id
    blocked = bool(allocation.trial.units.block)
    randomized = words.measured_plural if same else words.randomized_plural
    columns = [*(["block"] if blocked else []), "arm", "first treated period", randomized]
    columns += [] if same else [words.measured_plural]
    numeric = columns[-2 if same else -3 :]
    # A few units are named, so that whoever pastes this table into an e-mail has said who begins when.
    named = len(allocation.frame) <= UNITS_NAMED
    names = allocation.frame.groupby(["block", "sequence"])["unit"].agg(", ".join)
    columns += ["which"] if named else []
    rows = [
        (
            *([row["block"]] if blocked else []),
            row["arm"],
            str(row["starts"]) if row["starts"] else "never",
            f"{row['randomized']:,}",
            *([] if same else [f"{row['measured']:,}"]),
            *([names[row["block"], row["sequence"]]] if named else []),
        )
        for row in records(block_counts(allocation))
    ]
    printer.table(columns, rows, numeric=numeric)


def verify(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="Folder that rct randomize wrote, its certificate, or a ledger."
        ),
    ],
    *,
    roster: RosterIfAny = None,
    commitment: Annotated[
        Path | None,
        typer.Option("--commitment", metavar="FILE", help="The third party's copy of what rct commit wrote."),
    ] = None,
    value: Annotated[
        str | None,
        typer.Option("--value", metavar="TEXT", help="What the public source published, looked up there."),
    ] = None,
    receipt: Annotated[
        list[str] | None,
        typer.Option("--receipt", metavar="NUMBER:HASH", help="A receipt that rct enrol gave, or several."),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Make an allocation again from its certificate and your roster, and say whether anything differs.

    Exits with 1 when something differs, and names it.
    """
    import rct

    printer = Printer(as_json=as_json, quiet=quiet)
    if is_ledger(folder):
        if not verify_enrolment(printer, folder, receipt or []):
            raise typer.Exit(CHECK_FAILED)
        return
    if not folder.exists():
        raise RctError(f"{folder}: there is no such folder, certificate or ledger")
    if roster is None or receipt:
        raise RctError("an allocation is verified with --roster, a ledger with --receipt")
    found = rct.verify(folder, rct.read_roster(roster), commitment=commitment, value=value)
    for problem in found.problems:
        printer.say(f"problem: {problem}", style="red")
    if found.ok:
        printer.say(
            "Verified: the certificate and this roster give exactly this allocation.", style="bold green"
        )
    else:
        printer.say("Not verified: this is not what the certificate says.", style="bold red")
    if found.amendments:
        tables = ", ".join(f"[{table}]" for table in found.amendments)
        printer.say(
            f"Amended in the kept trial, without touching the randomization: {tables}.", style="yellow"
        )
    printer.say(f"Level: {found.level}. What it does not prove: {found.does_not_prove}")
    printer.result(
        {
            "ok": found.ok,
            "level": found.level,
            "does_not_prove": found.does_not_prove,
            "problems": found.problems,
            "amendments": found.amendments,
        }
    )
    if not found.ok:
        raise typer.Exit(CHECK_FAILED)
