"""The verb that shows everything at once: a simulated trial from its declaration to its report."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from rct.cli.arguments import AsJson, Quiet
from rct.cli.printing import Printer, records

if TYPE_CHECKING:
    import pandas as pd

    from rct.estimates import Estimates
    from rct.panel import Panel
    from rct.power.trial_power import Power
    from rct.randomization import Allocation
    from rct.trial import Trial

DESIGN = "louisville_icat"
SEED = "rct demo"
PANEL_SEED = 1
STEPS = 7
SIMS = {"quick": 128, "full": 1000}
QUICK_DRAWS = 999
MOST_WORKERS = 4
"""Processes that simulate; more take longer to start than they save."""

MARK = "SIMULATED.txt"
MARK_TEXT = """\
Everything in this folder was made by `rct demo`. The officers, the divisions and every count are simulated;
nothing here is evidence about any real training. The next `rct demo` into this folder replaces it.
"""
WRITTEN = (
    MARK,
    "trial.toml",
    "roster.csv",
    "allocation",
    "power",
    "panel.parquet",
    "estimates",
    "report.html",
)
"""All that a demo writes, and all that the next one removes."""


def demo(
    *,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer simulated trials, and no Bayesian model.")
    ] = False,
    out: Annotated[
        Path,
        typer.Option("--out", metavar="FOLDER", help="Folder to write; an earlier demo there is replaced."),
    ] = Path("demo"),
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Run a simulated stepped-wedge trial of ICAT training from its declaration to its report.

    All data are simulated, and everything that is written says so.
    """
    begun = perf_counter()
    printer = Printer(as_json=as_json, quiet=quiet)
    clear(out)
    printer.say(
        "A simulated trial, from its declaration to its report. All data below are simulated.", style="bold"
    )
    with step(printer, 1, "The trial is declared"):
        trial = declare(printer, out, quick=quick)
    with step(printer, 2, "Its divisions are randomized (simulated officers)"):
        allocation = allocate(printer, trial, out)
    with step(printer, 3, "The randomization is verified"):
        verify_again(printer, out)
    with step(printer, 4, "Power: how likely is such a trial to see these effects? (simulated trials)"):
        sims = SIMS["quick" if quick else "full"]
        workers = 1 if quick else min(os.cpu_count() or 1, MOST_WORKERS)
        power, courses = foresee(printer, trial, allocation, out, sims=sims, workers=workers)
    with step(printer, 5, "Its incidents are simulated"):
        panel = record(printer, trial, allocation, out)
    with step(printer, 6, "Every promised analysis is run (simulated data)"):
        results = answer(printer, trial, panel, allocation, out)
    with step(printer, 7, "The report is written (simulated data)"):
        path = tell(trial, results, panel, allocation, power, courses, out)
    seconds = perf_counter() - begun
    printer.say(f"All data are simulated. {seconds:.0f} s in all. Open the report in a browser:")
    printer.say(str(path.resolve()), style="bold green")
    printer.result(
        {
            "report": str(path.resolve()),
            "simulated": True,
            "seed": SEED,
            "seconds": round(seconds, 1),
            "power": records(power.frame),
            "estimates": records(results.frame),
        }
    )


def clear(folder: Path) -> None:
    """Make the folder ready: what an earlier demo wrote is removed, anything else is left alone.

    Raises
    ------
    AllocationError
        When the folder holds files and no mark of a demo.
    """
    from rct.errors import AllocationError

    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not (folder / MARK).exists()):
        raise AllocationError(
            f"{folder} holds other files than those of a demo; choose another folder with --out"
        )
    for name in WRITTEN:
        old = folder / name
        if old.is_dir():
            shutil.rmtree(old)
        else:
            old.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).write_text(MARK_TEXT, encoding="utf-8")


@contextmanager
def step(printer: Printer, number: int, title: str) -> Iterator[None]:
    """Announce a step before it runs, and say afterwards how long it took."""
    printer.say(f"\n{number}/{STEPS}  {title}", style="bold cyan")
    begun = perf_counter()
    yield
    printer.say(f"{perf_counter() - begun:.1f} s", style="dim")


def declare(printer: Printer, folder: Path, *, quick: bool) -> "Trial":
    """Write the trial file, and say what it promises."""
    import rct
    from rct.cli.trial_in_words import trial_in_words

    text = rct.load(DESIGN).source
    path = folder / "trial.toml"
    path.write_text(shortened(text) if quick else text, encoding="utf-8")
    trial = rct.load(path)
    for line in trial_in_words(trial, None, assumed=True):
        printer.say(line)
    return trial


def shortened(text: str) -> str:
    """Give the trial with fewer re-randomizations and without its Bayesian model, its comments kept."""
    import tomlkit

    document = tomlkit.parse(text)
    analysis = document["analysis"].unwrap()
    secondary = [spec for spec in analysis["secondary"] if spec["estimator"] != "bayesian"]
    document["analysis"]["draws"] = QUICK_DRAWS
    document["analysis"]["secondary"] = secondary
    return tomlkit.dumps(document)


def allocate(printer: Printer, trial: "Trial", folder: Path) -> "Allocation":
    """Write a made-up roster and randomize it with a seed that everybody can see."""
    import rct
    from rct.cli.allocation_verbs import print_counts
    from rct.simulation import synthetic_roster

    path = folder / "roster.csv"
    synthetic_roster(trial).to_csv(path, index=False, lineterminator="\n")
    allocation = rct.randomize(trial, rct.read_roster(path), seed=SEED)
    allocation.write(folder / "allocation")
    printer.say(
        f'{len(allocation.roster)} made-up officers in {len(allocation.frame)} divisions; seed "{SEED}".'
    )
    print_counts(printer, allocation)
    return allocation


def verify_again(printer: Printer, folder: Path) -> None:
    """Make the allocation again from its certificate.

    Raises
    ------
    AllocationError
        When it comes out differently.
    """
    import rct
    from rct.errors import AllocationError

    found = rct.verify(folder / "allocation", rct.read_roster(folder / "roster.csv"))
    if not found.ok:
        raise AllocationError("; ".join(found.problems))
    printer.say(
        f"Verified: made again from certificate and roster, nothing differs. Level: {found.level}; the seed "
        "was typed, so it does not prove that nobody searched for one they liked."
    )


def foresee(
    printer: Printer, trial: "Trial", allocation: "Allocation", folder: Path, *, sims: int, workers: int
) -> "tuple[Power, pd.DataFrame]":
    """Simulate the whole trial many times, and its two answers under several courses of the effect."""
    from rct.cli.planning_tables import courses_of
    from rct.cli.power_verb import print_assumptions, print_power, progress_bar, worker_pool
    from rct.power import simulate

    with worker_pool(workers) as executor:
        with progress_bar(printer, sims) as progress:
            power = simulate(trial, allocation.roster, sims=sims, executor=executor, progress=progress)
        power.write(folder / "power")
        print_power(printer, power)
        print_assumptions(printer, power)
        given = {"sims": SIMS["quick"], "seed": power.seed, "executor": executor}
        courses = courses_of(printer, trial, allocation.roster, out=folder / "power", **given)
    return power, courses


def record(printer: Printer, trial: "Trial", allocation: "Allocation", folder: Path) -> "Panel":
    """Simulate the one panel that is analysed."""
    import rct

    panel = rct.simulate(trial, allocation, seed=PANEL_SEED)
    panel.write(folder / "panel.parquet")
    for line in repr(panel).splitlines()[:-1]:
        printer.say(line)
    return panel


def answer(
    printer: Printer, trial: "Trial", panel: "Panel", allocation: "Allocation", folder: Path
) -> "Estimates":
    """Run all promised analyses."""
    import rct
    from rct.cli.result_verbs import in_hand, print_estimates

    with printer.waiting(in_hand(trial)):
        results = rct.estimate(trial, panel, allocation=allocation)
    results.write(folder / "estimates")
    print_estimates(printer, results, trial)
    return results


def tell(
    trial: "Trial",
    results: "Estimates",
    panel: "Panel",
    allocation: "Allocation",
    power: "Power",
    courses: "pd.DataFrame",
    folder: Path,
) -> Path:
    """Write the report."""
    import rct

    return rct.report(
        trial, results, panel=panel, allocation=allocation, power=power, courses=courses,
        path=folder / "report.html",
    )  # fmt: skip
