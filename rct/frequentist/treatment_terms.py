"""The treatment terms of a rate model: one for each arm, or one for each arm and exposure time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from rct.errors import EstimationError
from rct.frequentist.integer_codes import dense_codes
from rct.row_runs import Spells, find_spells

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

Effect = Literal["constant", "exposure-time"]


@dataclass(frozen=True)
class Term:
    """One treatment coefficient: its arm and, where effects differ by it, its exposure time (1 = first).

    `also` names the exposure times without an event that share this coefficient.
    """

    arm: str
    exposure_time: int | None = None
    also: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """Name for tables and messages."""
        if self.exposure_time is None:
            return self.arm
        return f"{self.arm}, exposure time {self.exposure_time}"


@dataclass(frozen=True)
class TreatmentTerms:
    """Terms, and for each row the term it belongs to (−1: none) and its dose."""

    terms: tuple[Term, ...]
    term: NDArray[np.integer]
    dose: NDArray[np.float64]


def treatment_terms(rows: pd.DataFrame, effect: Effect, spells: Spells | None = None) -> TreatmentTerms:
    """Read the treatment of every row.

    Parameters
    ----------
    rows : pandas.DataFrame
        `panel.rows(outcome)`.
    spells : Spells, optional
        `panel.spells`, where these are all rows of the panel.
    effect : {"constant", "exposure-time"}
        One effect for each arm, or one for each period since its training began (1 = first treated period).

    Raises
    ------
    EstimationError
        No row is treated; or exposure time does not exist because treatment switches off again.
    """
    dose, spells = rows["treated"].to_numpy(dtype=float), spells or find_spells(rows)
    if not spells.treated.any():
        raise EstimationError(
            "no row of the panel is treated, so there is no effect to estimate;"
            " check `starts` or `treated` and the last period of the data"
        )
    if spells.treated.all():
        raise EstimationError("every row of the panel is treated, so there is nothing to compare with")
    arm_names, arm = _arms(spells, len(rows))
    if effect == "constant":
        return TreatmentTerms(tuple(Term(name) for name in arm_names), arm, dose)
    return _by_exposure_time(arm_names, arm, dose, exposure_time(rows, dose > 0))


def _arms(spells: Spells, n_rows: int) -> tuple[list[str], NDArray[np.integer]]:
    """Name the treatment arms in the order of the sequences, and give the arm of each row (−1: none)."""
    own = spells.treated
    earliest = np.full(len(spells.names), np.iinfo(np.int64).max)
    np.minimum.at(earliest, spells.arm[own], spells.sequence[own])
    order = np.argsort(earliest, kind="stable")
    arm = np.where(own, np.argsort(order)[spells.arm], -1).astype(np.int32)
    names = [spells.names[i] for i in order if earliest[i] < np.iinfo(np.int64).max]
    return names, np.repeat(arm, np.diff(spells.rows, append=n_rows))


def exposure_time(rows: pd.DataFrame, treated: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Give the exposure time of each row (1 = first treated period), 0 where untreated.

    Raises
    ------
    EstimationError
        Treatment switches off again.
    """
    starts, period = rows["starts"].to_numpy(), rows["period"].to_numpy()
    begun = (starts > 0) & (period >= starts)
    if np.any(begun != treated):
        unit = rows["unit"].iloc[int(np.flatnonzero(begun != treated)[0])]
        raise EstimationError(
            f"treatment switches off again (unit {unit}), so there is no time since training began;"
            ' use effect="constant"'
        )
    return np.where(treated, period - starts + 1, 0)


def _by_exposure_time(
    arm_names: list[str],
    arm: NDArray[np.integer],
    dose: NDArray[np.float64],
    exposure_time: NDArray[np.int64],
) -> TreatmentTerms:
    longest = int(exposure_time.max())
    code = np.where(arm >= 0, arm * longest + exposure_time - 1, -1)
    used, term = np.flatnonzero(np.bincount(code + 1)) - 1, dense_codes(code + 1)
    if used[0] == -1:
        used, term = used[1:], term - 1
    terms = tuple(Term(arm_names[c // longest], int(c % longest) + 1) for c in used)
    return TreatmentTerms(terms, term, dose)


def pool_without_events(
    treatment: TreatmentTerms, counts: NDArray[np.float64], window: tuple[int, int]
) -> TreatmentTerms:
    """Let exposure times of the window without any event share a neighbour's coefficient.

    The log rate ratio of such an exposure time has no finite estimate, and so neither has a mean over it. It
    joins the nearest shorter exposure time with events (the nearest longer one where there is none): their
    events and exposure are added up, so the zero counts.

    Parameters
    ----------
    treatment : TreatmentTerms
    counts : (rows,)
    window : (int, int)
        First and last exposure time of the mean.
    """
    treated = treatment.term >= 0
    events = np.bincount(treatment.term[treated], counts[treated], len(treatment.terms))
    target = np.arange(len(treatment.terms))
    for arm in dict.fromkeys(term.arm for term in treatment.terms):
        members = np.array(
            [
                number
                for number, term in enumerate(treatment.terms)
                if term.arm == arm and term.exposure_time is not None
                if window[0] <= term.exposure_time <= window[1]
            ],
            dtype=np.intp,
        )
        found = stand_ins(events[members] > 0)
        target[members[found >= 0]] = members[found[found >= 0]]
    kept, code = np.unique(target, return_inverse=True)
    terms = tuple(
        replace(
            treatment.terms[own],
            also=tuple(
                time
                for number in np.flatnonzero(target == own)
                if number != own and (time := treatment.terms[number].exposure_time) is not None
            ),
        )
        for own in kept
    )
    return TreatmentTerms(terms, np.where(treated, code[treatment.term], -1), treatment.dose)


def stand_ins(has_events: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Give for each of successive exposure times (…, times) the one whose coefficient it has; −1 for none.

    Its own where it has events, else the nearest shorter one's, else the nearest longer one's.
    """
    own = np.where(has_events, np.arange(has_events.shape[-1]), -1)
    shorter = np.maximum.accumulate(own, axis=-1)
    first = np.where(has_events.any(axis=-1), has_events.argmax(axis=-1), -1)
    return np.asarray(np.where(shorter >= 0, shorter, first[..., None]))
