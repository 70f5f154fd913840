"""Allocation: which randomized unit follows which sequence, with what probability, and the certificate."""

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from rct.errors import AllocationError
from rct.randomization.accepted_set import assignment_shares, number_of_distinct
from rct.randomization.capped_classes import capped
from rct.randomization.certificate import (
    Certificate,
    certified_blocks,
    make_certificate,
    pre_committed,
    read_certificate,
    require_fitting,
)
from rct.randomization.commitment import Commitment
from rct.randomization.folder_text import folder_text, kept_text, refuse_occupied
from rct.randomization.keyed_order import seed_text
from rct.randomization.matched_groups import in_certified_groups, in_matched_groups
from rct.randomization.mechanisms import mechanism
from rct.randomization.plan import Plan, block_name
from rct.randomization.random_draws import BlockOfUnits, Draws, block_columns
from rct.randomization.restricted_order import restrict
from rct.randomization.rosters import (
    Roster,
    checked_roster,
    columns_read,
    read_roster,
    refuse_decimals,
    refuse_look_alikes,
)
from rct.randomization.scheme_plans import assign, planned
from rct.randomization.shift_calendar import require_cells
from rct.randomization.smallest_p import smallest_p_value
from rct.schedule import sequence_table
from rct.trial import Trial, load


@dataclass(frozen=True, eq=False)
class Allocation:
    """A finished randomization.

    Attributes
    ----------
    trial
        The trial it was made for, kept with it.
    roster
        The measured units it was made from: text columns, sorted by id.
    certificate
        See :mod:`rct.randomization.certificate`.
    plan
        The sequences and each block's exact shares of them.
    frame
        One row per randomized unit, sorted by id: unit, block, sequence, arm, starts (first treated period,
        0 = never), probability (of the sequence it was given).
    sequences
        One row per sequence and period: sequence, period, arm, dose.
    probabilities
        Randomized units × sequences; under a restriction the shares of the allocations that it accepts.
    accepted
        Under a restriction, the allocations it accepts (each row equally probable); else None.
    """

    trial: Trial
    roster: pd.DataFrame
    certificate: Certificate
    plan: Plan
    frame: pd.DataFrame
    sequences: pd.DataFrame
    probabilities: pd.DataFrame
    accepted: Draws | None = None

    def __eq__(self, other: object) -> bool:
        """Say whether trial, roster, certificate and every table are the same."""
        if not isinstance(other, Allocation):
            return NotImplemented
        return (
            self.trial == other.trial
            and self.certificate == other.certificate
            and self.roster.equals(other.roster)
            and self.frame.equals(other.frame)
            and self.sequences.equals(other.sequences)
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def control(self) -> str:
        """Name of the control arm."""
        return self.trial.arms.control

    @cached_property
    def blocks(self) -> list[BlockOfUnits]:
        """For each block in byte order: the positions of its units in :attr:`frame`, and its shares."""
        blocks = {unit["unit"]: tuple(unit["block"]) for unit in self.certificate["units"]}
        return block_columns(blocks, self.plan.shares)

    @cached_property
    def space(self) -> int:
        """Number of distinct allocations that the mechanism can give."""
        if self.accepted is not None:
            return number_of_distinct(self.accepted)
        return mechanism(self.plan).space(self.blocks)

    @cached_property
    def smallest_p(self) -> float:
        """Smallest two-sided randomization p-value that can come out."""
        return smallest_p_value(self)

    def draws(self, n: int | Literal["exact"], *, seed: int | np.random.SeedSequence | None = None) -> Draws:
        """Draw further allocations under the very same mechanism.

        Parameters
        ----------
        n
            Number of draws, or "exact" for the whole space, each row equally probable (where left-over places
            make some allocations likelier, those stand more than once).
        seed
            Needed unless ``n`` is "exact".

        Returns
        -------
        numpy.ndarray
            (n, units) int16 sequence numbers, columns in the order of :attr:`frame`.

        Raises
        ------
        AllocationError
            Without a seed, or when the whole space is too large to be enumerated.
        """
        if n == "exact":
            if self.accepted is not None:
                return self.accepted
            return mechanism(self.plan).every(self.blocks)
        if seed is None:
            raise AllocationError("draws need a seed, so that they can be made again: draws(9999, seed=1)")
        if n < 1:
            raise AllocationError(f"{n} draws cannot be made; give 1 or more")
        if self.accepted is not None:
            return self.accepted[np.random.default_rng(seed).integers(len(self.accepted), size=n)]
        return mechanism(self.plan).random(self.blocks, n=n, seed=seed)

    def starts(self, draws: Draws) -> npt.NDArray[np.int64]:
        """Give the first treated period of each unit in each draw; 0 = never.

        Raises
        ------
        AllocationError
            Where treatment switches off or changes again, so that one number cannot tell the sequence.
        """
        self._refuse_switching("starts")
        return np.array([s.starts for s in self.plan.sequences], dtype=np.int64)[draws]

    def arms(self, draws: Draws) -> npt.NDArray[np.object_]:
        """Give the arm of each unit in each draw: given or still to come, the control arm where never.

        Raises
        ------
        AllocationError
            Where treatment switches off or changes again.
        """
        self._refuse_switching("arms")
        return np.array([s.arm for s in self.plan.sequences], dtype=object)[draws]

    def _refuse_switching(self, what: str) -> None:
        if any(sequence.switches for sequence in self.plan.sequences):
            raise AllocationError(f"{what} do not describe sequences that switch; use allocation.sequences")

    def write(self, folder: str | PathLike[str]) -> None:
        """Write the allocation as a folder: the certificate and tables anyone can open, all or nothing.

        Raises
        ------
        AllocationError
            When the folder already holds files; nothing is written then.
        """
        target = Path(folder)
        refuse_occupied(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            staging.chmod(0o755)
            for name, text in folder_text(self).items():
                (staging / name).write_text(text, encoding="utf-8", newline="")
            if target.is_dir():
                target.rmdir()  # fails on a folder that was filled in the meantime
            staging.replace(target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    @classmethod
    def read(cls, folder: str | PathLike[str]) -> "Allocation":
        """Read an allocation back, equal to what was written.

        Raises
        ------
        AllocationError
            When a file is missing, or the files contradict the certificate (``rct.verify`` names the cause).
        """
        place = Path(folder)
        certificate = read_certificate(place)
        for name in ("trial.toml", "roster.csv", "allocation.csv"):
            if not (place / name).is_file():
                raise AllocationError(f"{place}: {name} is missing from the folder of this allocation")
        trial = load(place / "trial.toml")
        roster = checked_roster(
            read_roster(place / "roster.csv"), trial.units, covariates=trial.further_columns
        )
        roster = in_certified_groups(roster, trial, units=certified_blocks(certificate))
        if trial.design_hash != certificate["design_hash"] or roster.hash != certificate["roster_hash"]:
            raise AllocationError(
                f"{place}: the trial or roster kept here is not the one in the certificate; rct verify says "
                "what was changed"
            )
        plan = capped(planned(trial, roster.block_sizes), roster, trial)
        require_fitting(certificate, roster.blocks, len(plan.sequences), where=str(place))
        allocation = assembled(trial, roster, certificate, plan=plan)
        written = folder_text(allocation)["allocation.csv"]
        if kept_text(place / "allocation.csv") != written:
            raise AllocationError(
                f"{place / 'allocation.csv'} differs from the certificate; rct verify says where"
            )
        return allocation


def randomize(
    trial: Trial,
    roster: pd.DataFrame,
    *,
    seed: str | int | bytes | None = None,
    commitment: Commitment | Mapping[str, Any] | str | PathLike[str] | None = None,
    value: str | None = None,
) -> Allocation:
    """Randomize the units of a roster as the trial declares.

    Parameters
    ----------
    trial
        The trial.
    roster
        One row per measured unit; the columns that the trial names under ``[units]`` as text.
    seed
        Text, integer or bytes; the whole allocation follows from it, the trial's design and the ids.
    commitment, value
        Instead of a seed: what was committed to before a public draw (see :func:`rct.commit`), itself or its
        file, and what was drawn.

    Raises
    ------
    DataError
        When the roster cannot be read as declared.
    AllocationError
        When the design cannot be carried out on this roster, or trial and roster are not those that were
        committed to.
    """
    checked = checked_roster(roster, trial.units, covariates=trial.further_columns)
    refuse_decimals(roster, trial.units)
    refuse_look_alikes(roster, trial.units, trial.further_columns)
    require_cells(trial, checked.in_blocks.units)
    checked = in_matched_groups(checked, trial)
    plan = capped(planned(trial, checked.block_sizes), checked, trial)
    if commitment is None and value is None:
        if seed is None:
            raise AllocationError("a randomization needs a seed: a text, a whole number or bytes")
        certificate, accepted = _certified(trial, checked, plan, seed_text(seed))
        return assembled(trial, checked, certificate, plan=plan, accepted=accepted)
    if seed is not None or commitment is None or value is None:
        raise AllocationError(
            "give either a seed, or a commitment together with the value of its round: these make the seed"
        )
    promised = Commitment.read(commitment)
    _require_promised(promised, trial, checked)
    certificate, accepted = _certified(trial, checked, plan, promised.seed(value))
    raised = pre_committed(certificate, promised, value=value)
    return assembled(trial, checked, raised, plan=plan, accepted=accepted)


def _certified(trial: Trial, roster: Roster, plan: Plan, key: str) -> tuple[Certificate, Draws | None]:
    if not trial.randomization.restricted:
        assigned = assign(key, trial.design_hash, roster.in_blocks, plan)
        return make_certificate(trial, roster, plan=plan, assigned=assigned, seed=key), None
    found = restrict(key, trial, trial.design_hash, roster=roster, plan=plan)
    certificate = make_certificate(
        trial, roster, plan=plan, assigned=found.assigned, seed=key, restriction=found.record
    )
    return certificate, found.accepted


def _require_promised(promised: Commitment, trial: Trial, roster: Roster) -> None:
    if promised.design_hash != trial.design_hash:
        raise AllocationError(
            "the commitment is of another design than this trial's: [units], [arms], [schedule] or "
            "[randomization] of the trial file were changed after it. Restore them"
        )
    if promised.roster_hash != roster.hash:
        raise AllocationError(
            f"the commitment is of another roster: a value in the columns that the randomization reads "
            f"({', '.join(columns_read(trial.units, trial.further_columns))}), or the rows, were changed "
            "after it. Restore them"
        )


def assembled(
    trial: Trial, roster: Roster, certificate: Certificate, *, plan: Plan, accepted: Draws | None = None
) -> Allocation:
    """Make the tables of an allocation from its certificate, whose units are those of the roster."""
    units, blocked = certificate["units"], roster.in_blocks
    shares = [[float(share) for share in plan.shares[block]] for block in blocked.blocks]
    probability = np.array(shares)[blocked.numbers]
    if trial.randomization.restricted and accepted is None:
        key, design_hash = certificate["seed"], trial.design_hash
        accepted = restrict(key, trial, design_hash, roster=roster, plan=plan).accepted
    if accepted is not None:
        probability = assignment_shares(accepted, len(plan.sequences))
    sequence = np.fromiter(map(itemgetter("sequence"), units), dtype=np.int64, count=len(units))
    measured = trial.units.randomize == trial.units.id
    names, arms = map(block_name, blocked.blocks), (each.arm for each in plan.sequences)
    frame = pd.DataFrame(
        {
            "unit": roster.frame[trial.units.id] if measured else pd.Series(blocked.units, dtype="str"),
            "block": pd.Series([*names], dtype="str").take(blocked.numbers).reset_index(drop=True),
            "sequence": sequence,
            "arm": pd.Series([*arms], dtype="str").take(sequence).reset_index(drop=True),
            "starts": np.array([each.starts for each in plan.sequences], dtype=np.int64)[sequence],
            "probability": probability[np.arange(len(units)), sequence],
        }
    )
    probabilities = pd.DataFrame(
        probability,
        index=pd.Index(frame["unit"], name="unit"),
        columns=pd.RangeIndex(len(plan.sequences), name="sequence"),
    )
    return Allocation(
        trial=trial,
        roster=roster.frame,
        certificate=certificate,
        plan=plan,
        frame=frame,
        sequences=sequence_table(plan.sequences),
        probabilities=probabilities,
        accepted=accepted,
    )
