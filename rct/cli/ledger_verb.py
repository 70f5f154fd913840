"""The verb of sequential allocation: enrol; and how a ledger is verified."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rct.cli.arguments import AsJson, Quiet
from rct.cli.printing import Printer
from rct.errors import DataError, RctError

if TYPE_CHECKING:
    from rct.randomization import SequentialDesign

SQLITE = b"SQLite format 3\0"


def enrol(
    ledger: Annotated[Path, typer.Argument(metavar="LEDGER", help="The ledger, an SQLite file.")],
    *,
    key: Annotated[
        Path, typer.Option("--key", metavar="FILE", help="File with the secret seed; keep it elsewhere.")
    ],
    unit: Annotated[str | None, typer.Option("--unit", metavar="ID", help="Id of who is enrolled.")] = None,
    level: Annotated[
        list[str] | None,
        typer.Option("--level", metavar="NAME=VALUE", help="A stratum or factor of who is enrolled."),
    ] = None,
    design: Annotated[
        Path | None,
        typer.Option(
            "--open", metavar="DESIGN", help="Instead of --unit: open a ledger for this TOML design."
        ),
    ] = None,
    close: Annotated[
        bool, typer.Option("--close", help="Instead of --unit: close enrolment and publish the seed.")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Enrol whoever comes next, and say the arm and the receipt.

    Enrolment begins with --open, which draws the secret seed, and ends with --close, which publishes it.
    """
    from rct.randomization import Ledger

    if [unit is not None, design is not None, close].count(True) != 1:
        raise RctError("give one of --unit, --open and --close")
    printer = Printer(as_json=as_json, quiet=quiet)
    if design is not None:
        receipt = Ledger.create(ledger, _read_design(design), key=key).head
        printer.say(f"Opened {ledger}. The secret seed is in {key}: keep it where no recruiter can read it.")
    elif close:
        receipt = Ledger.open(ledger, key=key).close()
        printer.say(f"Closed {ledger}. The seed is published in it, so that anybody can derive every arm.")
    else:
        receipt = Ledger.open(ledger, key=key).enrol(str(unit), _levels(level or []))
        printer.say(f"{receipt.unit}: {receipt.arm}", style="bold green")
    printer.say(f"Receipt, to be kept elsewhere: {receipt}")
    printer.result(
        {"number": receipt.number, "unit": receipt.unit, "arm": receipt.arm, "receipt": str(receipt)}
    )


def is_ledger(path: Path) -> bool:
    """Say whether a path is an SQLite file."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(SQLITE)) == SQLITE


def verify_enrolment(printer: Printer, path: Path, receipts: Sequence[str]) -> bool:
    """Print what the verification of a ledger found, and give whether nothing differs."""
    from rct.randomization import verify_ledger

    found = verify_ledger(path, receipts)
    for problem in found.problems:
        printer.say(f"problem: {problem}", style="red")
    if found.ok:
        printer.say(f"Verified: {found.enrolled} enrolments, head {found.head}.", style="bold green")
    else:
        printer.say("Not verified: this ledger was tampered with.", style="bold red")
    for point in found.does_not_prove:
        printer.say(f"Not proved: {point}")
    printer.result(
        {
            "ok": found.ok,
            "problems": found.problems,
            "does_not_prove": found.does_not_prove,
            "enrolled": found.enrolled,
            "head": str(found.head or ""),
        }
    )
    return found.ok


def _read_design(path: Path) -> "SequentialDesign":
    from pydantic import ValidationError

    from rct.randomization import SequentialDesign
    from rct.trial import read_toml, toml_text
    from rct.trial_problems import trial_error, validation_problems

    text = toml_text(path)
    given = _with_arms_of_trial(read_toml(text, name=str(path)), path.parent)
    try:
        return SequentialDesign(**given)
    except ValidationError as error:
        raise trial_error(str(path), text, validation_problems(SequentialDesign, error, given)) from None


def _with_arms_of_trial(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Give the design with the arms of the trial file that it names, beside it, where it names one."""
    import rct
    from rct.randomization import arms_and_ratio

    if "trial" not in content:
        return content
    trial = rct.load(folder / str(content["trial"]))
    own = {key: value for key, value in content.items() if key != "trial"}
    return {**arms_and_ratio(trial.arms), **own}


def _levels(given: Sequence[str]) -> dict[str, str]:
    levels = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or name in levels:
            raise DataError(f'--level "{each}": give each characteristic once, as --level name=value')
        levels[name] = value
    return levels
