"""Restricted randomization: one of the balanced candidates, by the smallest keyed hash of their numbers.

Covariate-constrained (Raab & Butcher 2001; Li, Turner & Preisser 2017): the best-scored candidates are kept.
Rerandomized (Morgan & Rubin 2012): those whose Mahalanobis distance is at most a threshold. The bytes
are laid down in ``docs/allocation-bytes.md``, "Restricted randomization".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from typing_extensions import TypedDict

from rct.errors import AllocationError
from rct.randomization.candidates import candidate_draws, numbered
from rct.randomization.covariates import Covariates, whole_covariates
from rct.randomization.keyed_order import Numbers
from rct.randomization.plan import Plan, block_name
from rct.randomization.random_draws import BlockOfUnits, Draws, block_columns
from rct.randomization.restriction_scores import (
    Scoring,
    compared_groups,
    imbalance_scores,
    mahalanobis_scores,
    side_by_side,
)
from rct.randomization.rosters import Roster
from rct.trial_tables import Design


class RestrictionRecord(TypedDict):
    """What a restriction read and did.

    The covariates with their weights and whole-number values (a list for each unit, units in byte order); the
    number of candidates, whether they are the whole space, how many were accepted; the largest score that was
    accepted or, of a rerandomization, the threshold; number and score of the candidate that was taken. Scores
    are exact, as "p/q".
    """

    covariates: list[str]
    weights: list[int]
    values: list[list[int]]
    candidates: int
    whole_space: bool
    accepted: int
    limit: str
    chosen: int
    score: str


@dataclass(frozen=True, eq=False)
class Restriction:
    """The accepted allocations, in the order of their numbers, the place of the one taken, and the record.

    ``accepted`` is (accepted, units), units in byte order; each row is equally probable.
    """

    accepted: Draws
    place: int
    record: RestrictionRecord

    @property
    def assigned(self) -> Numbers:
        """The number of the sequence of every randomized unit."""
        return self.accepted[self.place].astype(np.intp)


def restrict(key: str, design: Design, design_hash: str, *, roster: Roster, plan: Plan) -> Restriction:
    """Make the candidates, accept the balanced ones and take one.

    Raises
    ------
    AllocationError
        When the space is too large and no number of candidates is declared, a covariate does not differ
        between units, more candidates are to be kept than there are, or none is accepted.
    DataError
        When a covariate cannot be read.
    """
    _refuse_other_places(design, roster, plan)
    covariates = whole_covariates(roster, design)
    blocks = block_columns(roster.blocks, plan.shares)
    draws, whole = candidate_draws(key, design_hash, blocks, declared=design.randomization.candidates)
    scoring = _scored(draws, blocks, covariates, design, plan)
    limit = _limit(scoring, design)
    numbers = np.flatnonzero(scoring.scores <= scoring.whole(limit))
    if not len(numbers):
        smallest = float(scoring.exact(min(scoring.scores)))
        raise AllocationError(
            f"none of {len(draws):,} candidates has a Mahalanobis distance of at most {float(limit):g}; the "
            f"smallest is {smallest:.4g}. Raise randomization.threshold or randomization.candidates"
        )
    chosen = taken(key, design_hash, numbers.tolist())
    return Restriction(
        accepted=draws[numbers],
        place=int(np.searchsorted(numbers, chosen)),
        record={
            "covariates": list(covariates.names),
            "weights": list(covariates.weights),
            "values": [list(row) for row in covariates.values],
            "candidates": len(draws),
            "whole_space": whole,
            "accepted": len(numbers),
            "limit": str(limit),
            "chosen": chosen,
            "score": str(scoring.exact(scoring.scores[chosen])),
        },
    )


def taken(key: str, design_hash: str, accepted: Sequence[int]) -> int:
    """Take one of the accepted candidates: the one whose number has the smallest keyed hash."""
    return min(accepted, key=lambda number: numbered(key, design_hash, "choose", number))


def _scored(
    draws: Draws, blocks: list[BlockOfUnits], covariates: Covariates, design: Design, plan: Plan
) -> Scoring:
    groups = compared_groups(plan.sequences, design.arms.names)
    if design.randomization.scheme == "constrained":
        squared = design.randomization.metric == "l2"
        return imbalance_scores(draws, blocks, groups, covariates, squared=squared)
    if len(groups) > 1 and not side_by_side(groups, len(plan.sequences)):
        raise AllocationError(
            "rerandomization accepts by the Mahalanobis distance between two groups, or several that stand "
            f"side by side as the arms of a parallel trial; this design has {len(groups)} that overlap in "
            "time. Taken together their distance is the same for every allocation where each step "
            "has one unit, and the largest of several has no threshold of a known share. Use scheme = "
            "constrained, which adds the imbalances of every group"
        )
    return mahalanobis_scores(draws, blocks, groups[:-1] or groups, covariates)


def _refuse_other_places(design: Design, roster: Roster, plan: Plan) -> None:
    """Refuse designs whose places are drawn otherwise than those of candidates."""
    cells = len(plan.sequences)
    uneven = [block for block, units in roster.block_sizes.items() if units % cells]
    if plan.drawn == "by order" or (plan.drawn == "by cell" and not uneven):
        return
    scheme = design.randomization.scheme
    if plan.drawn == "by cell":
        where = f"block {block_name(uneven[0])}" if uneven[0] else "the roster"
        raise AllocationError(
            f"scheme = {scheme} divides the units of a factorial trial evenly among its cells, but {where} "
            f"has {roster.block_sizes[uneven[0]]} units for {cells} cells: left-over places are drawn "
            "otherwise than those of candidates, which would not have the stated probabilities. Make the "
            "numbers even, or name the factors' combinations as treatments"
        )
    raise AllocationError(
        f"scheme = {scheme} cannot be joined with capped classes: their places are drawn otherwise than "
        "those of candidates, which would not have the stated probabilities. Block by squad instead of "
        "capping"
    )


def _limit(scoring: Scoring, design: Design) -> Fraction:
    """Give the largest score to accept: the threshold, or that of the last candidate to keep."""
    rule, scores = design.randomization, scoring.scores
    if rule.threshold is not None:
        return rule.threshold
    keep = rule.keep or 1
    number = keep if isinstance(keep, int) else max(1, round(len(scores) * keep))
    if number > len(scores):
        raise AllocationError(
            f"randomization.keep = {number:,} is more than the {len(scores):,} candidates that there are"
        )
    return scoring.exact(np.sort(scores)[number - 1])
