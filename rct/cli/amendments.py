"""How the trial at hand differs from the one that was randomized."""

from typing import TYPE_CHECKING

from rct.errors import AllocationError, DataError

if TYPE_CHECKING:
    from rct.panel import Panel
    from rct.randomization import Allocation
    from rct.trial import Trial


def amendment_note(trial: "Trial", allocation: "Allocation | None") -> str:
    """Name the tables that were amended since the randomization; empty where none was.

    Raises
    ------
    AllocationError
        Where what the randomization rests on differs: then this is another trial.
    """
    from rct.trial_hash import DESIGN_TABLES

    if allocation is None:
        return ""
    differing = trial.amendments(allocation.trial)
    if trial.design_hash != allocation.trial.design_hash:
        tables = ", ".join(f"[{table}]" for table in differing if table in DESIGN_TABLES)
        raise AllocationError(
            f"this allocation is not of this trial: {tables} of the trial file differ from the copy kept "
            "with the allocation, and the randomization rests on them. Restore them, or randomize anew."
        )
    if not differing:
        return ""
    tables = ", ".join(f"[{table}]" for table in differing)
    return f"Amended since the randomization: {tables}. The randomization does not rest on it and stands."


def require_same_design(trial: "Trial", panel: "Panel") -> None:
    """Refuse a panel that was made for another design.

    Raises
    ------
    DataError
        Where the design hash written into the panel is another one.
    """
    recorded = panel.meta.get("design_hash")
    if recorded and recorded != trial.design_hash:
        raise DataError(
            f"this panel was made for another design than that of {trial.name}: its design hash is "
            f"{recorded[:12]}…, the trial's is {trial.design_hash[:12]}…. Make the panel anew for this trial."
        )
