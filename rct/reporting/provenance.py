"""Where a report comes from: hashes, software versions, amendments, and what does not belong together."""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from rct import __version__
from rct.errors import DataError
from rct.reporting.table import Table

if TYPE_CHECKING:
    from rct.estimates import Estimates
    from rct.panel import Panel
    from rct.randomization import Allocation
    from rct.trial import Trial

LIBRARIES = (
    "numpy",
    "pandas",
    "scipy",
    "pymc",
    "nutpie",
    "arviz",
    "duckdb",
    "pyarrow",
    "pydantic",
    "matplotlib",
)


def hashes_table(
    trial: "Trial", results: "Estimates", panel: "Panel | None", allocation: "Allocation | None"
) -> Table:
    """List the SHA-256 of everything that went in."""
    rows = [
        ("trial file", trial.hash, "the whole file"),
        ("design", trial.design_hash, "what the randomization rests on; keys the allocation"),
    ]
    if allocation is not None:
        rows.append(
            ("roster", str(allocation.certificate["roster_hash"]), "the measured units it was made from")
        )
    elif results.meta.get("roster_hash"):
        rows.append(("roster", str(results.meta["roster_hash"]), "the measured units it was made from"))
    panel_hash = panel.hash if panel is not None else str(results.meta.get("panel_hash", ""))
    if panel_hash:
        rows.append(("panel", panel_hash, "counts, exposure and assignment, row by row"))
    if results.meta.get("seed"):
        rows.append(("seed of the analyses", str(results.meta["seed"]), "re-randomizations and chains"))
    return Table(
        "Hashes (SHA-256) of what this report rests on.", ("of", "value", "what it covers"), tuple(rows)
    )


def versions_table() -> Table:
    """List the versions of the software, read from the installed packages without importing them."""
    rows = [("rct", __version__), ("Python", platform.python_version())]
    for name in LIBRARIES:
        try:
            rows.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return Table("Software.", ("package", "version"), tuple(rows))


def amended_tables(trial: "Trial", allocation: "Allocation | None") -> list[str]:
    """Name the tables in which the trial differs from the copy kept with the allocation."""
    return [] if allocation is None else trial.amendments(allocation.trial)


def mismatches(trial: "Trial", results: "Estimates", panel: "Panel | None") -> list[str]:
    """Say what was given together but was not made from each other, and may still be read with care."""
    found = []
    if results.meta.get("trial_hash", trial.hash) != trial.hash:
        found.append("The estimates were made with another version of the trial file than this report's.")
    if panel is not None and results.meta.get("panel_hash", panel.hash) != panel.hash:
        found.append("The estimates were made from another panel than this report's.")
    return found


def require_one_trial(
    trial: "Trial", results: "Estimates", panel: "Panel | None", allocation: "Allocation | None"
) -> None:
    """Refuse a report that would join one trial's randomization with another's data or estimates.

    Raises
    ------
    DataError
        Naming what does not belong to this trial.
    """
    from rct.randomization.assigned_rows import assignment_hash

    metas = {"estimates": results.meta, "panel": panel.meta if panel is not None else {}}
    for what, meta in metas.items():
        if meta.get("design_hash", trial.design_hash) != trial.design_hash:
            raise DataError(
                f"the {what} given are of another design than {trial.name} declares; give its own"
            )
    if allocation is None:
        return
    if allocation.trial.design_hash != trial.design_hash:
        raise DataError(f"the allocation given is of another design than {trial.name} declares; give its own")
    assigned = assignment_hash(allocation)
    for what, meta in metas.items():
        if (meta.get("assignment_hash") or assigned) != assigned:
            raise DataError(
                f"the {what} given were made with another allocation than the one given: this report would "
                "vouch for a randomization that nobody followed. Give the allocation they were made with."
            )
