"""Verbs that make a panel: simulate, panel."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rct.cli.amendments import amendment_note
from rct.cli.arguments import (
    AllocationFolder,
    AsJson,
    ExposureIfAny,
    IncidentFiles,
    Quiet,
    RosterFile,
    TrialName,
    effects_by_outcome,
    whole_number_seed,
)
from rct.cli.printing import Printer, records

if TYPE_CHECKING:
    import pandas as pd

    from rct.panel import Panel

CHECK_FAILED = 1
PROBLEMS_SHOWN = 10

OutFile = Annotated[Path, typer.Option("--out", metavar="FILE", help="Panel to write, as Parquet.")]


def simulate(
    trial: TrialName,
    *,
    allocation: AllocationFolder,
    effect: Annotated[
        list[str] | None,
        typer.Option(
            "--effect",
            metavar="OUTCOME=RATIO",
            help="True rate ratio of an outcome (force=0.72, or force:ARM=0.72); may be repeated. "
            "Outcomes not named have the effect that the trial assumes.",
        ),
    ] = None,
    seed: Annotated[str, typer.Option("--seed", metavar="SEED", help="Whole number or text.")],
    out: OutFile,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Simulate the panel that the trial would record, its truth as declared for power."""
    import rct

    effects = effects_by_outcome(effect or [])
    declared = rct.load(trial)
    given = rct.Allocation.read(allocation)
    printer = Printer(as_json=as_json, quiet=quiet)
    _note(printer, amendment_note(declared, given))
    simulated = rct.simulate(declared, given, effects=effects, seed=whole_number_seed(seed))
    simulated.write(out)
    for line in repr(simulated).splitlines()[:-1]:
        printer.say(line)
    printer.say(f"True effects: {_truth(simulated)}. These data are simulated, and every later page says so.")
    printer.say(f"Wrote {out}.")
    printer.result({"path": str(out), **_panel_facts(simulated)})


def panel(
    trial: TrialName,
    *,
    allocation: AllocationFolder,
    roster: RosterFile,
    incidents: IncidentFiles,
    exposure: ExposureIfAny = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 when any record was dropped or doubtful.")
    ] = False,
    out: OutFile,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Build the panel from incident records: who was counted when, in whose row, and what was dropped.

    The trial's records table names the agency's columns. What is dropped is listed and stays with the panel.
    """
    import rct

    declared = rct.load(trial)
    given = rct.Allocation.read(allocation)
    printer = Printer(as_json=as_json, quiet=quiet)
    _note(printer, amendment_note(declared, given))
    built = rct.build_panel(
        declared, given, roster=rct.read_roster(roster), incidents=incidents, exposure=exposure
    )
    built.write(out)
    for line in repr(built).splitlines():
        printer.say(line)
    print_problems(printer, built.problems)
    printer.say(f"Wrote {out}.")
    printer.result({"path": str(out), **_panel_facts(built), "problems": records(built.problems)})
    if strict and len(built.problems):
        raise typer.Exit(CHECK_FAILED)


def print_problems(printer: Printer, found: "pd.DataFrame") -> None:
    """Print the problems by kind, the most frequent first, and a few of them in full."""
    problems = records(found)
    if not problems:
        return
    from rct.records.problem_list import kinds_of

    printer.table(
        ("problem", "done", "rows"),
        [(kind.problem, kind.done, f"{kind.rows:,}") for kind in kinds_of(problems)[:PROBLEMS_SHOWN]],
        numeric=("rows",),
    )
    for problem in examples(problems):
        place = f"{problem['file']}, row {problem['row']}" if problem["row"] else problem["file"]
        printer.say(f"  {place}: {problem['problem']}; {problem['done']}", style="yellow")
    rest = len(problems) - PROBLEMS_SHOWN
    if rest > 0:
        printer.say(f"  and {rest:,} more; --json lists them all", style="yellow")


def examples(problems: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Choose the few that are shown, in their order: the first of each kind before the second of any."""
    from rct.records.problem_list import kind_of

    seen: Counter[str] = Counter()
    turns = []
    for place, problem in enumerate(problems):
        turns.append((seen[kind_of(problem)], place))
        seen[kind_of(problem)] += 1
    return [problems[place] for place in sorted(place for _, place in sorted(turns)[:PROBLEMS_SHOWN])]


def _panel_facts(made: "Panel") -> dict[str, Any]:
    frame = made.frame
    return {
        "simulated": bool(made.meta.get("simulated", False)),
        "units": int(frame["unit"].nunique()),
        "periods": made.periods,
        "randomized_units": len(made.randomized_units),
        "events": {name: frame[name].sum() for name in made.outcomes},
        "effects": made.meta.get("effects", {}),
        "hash": made.hash,
    }


def _truth(simulated: "Panel") -> str:
    several = any(len(by_arm) > 1 for by_arm in simulated.meta["effects"].values())
    return ", ".join(
        f"{outcome}{f' by {arm}' if several else ''} × {ratio:g}"
        for outcome, by_arm in simulated.meta["effects"].items()
        for arm, ratio in by_arm.items()
    )


def _note(printer: Printer, text: str) -> None:
    if text:
        printer.note(text)
