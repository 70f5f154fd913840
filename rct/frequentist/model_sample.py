"""What a rate model is fitted to: the rows of an outcome, its treatment terms and the contrasts asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rct.errors import EstimationError
from rct.frequentist.asked_options import require_names
from rct.frequentist.collapsed_cells import UnitRows
from rct.frequentist.estimation_sample import Sample, likelihood_rows
from rct.frequentist.inference.two_way_clusters import Cluster, cluster_columns
from rct.frequentist.integer_codes import dense_codes
from rct.frequentist.panel_columns import centred_covariates, cluster_names, column_codes
from rct.frequentist.treated_clusters import require_several_comparisons, require_treated_clusters
from rct.frequentist.treatment_terms import (
    Effect,
    Term,
    TreatmentTerms,
    pool_without_events,
    treatment_terms,
)

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from rct.panel import Panel


@dataclass(frozen=True)
class ModelSample:
    """Rows, treatment and covariates of one rate model.

    rows : usable rows of the panel, complete in the covariates
    treatment : every term that the rows name
    sample : the rows with a likelihood
    average : exposure times whose mean is wanted; None for single terms
    incomplete : rows left out for a missing covariate
    """

    rows: pd.DataFrame
    treatment: TreatmentTerms
    sample: Sample
    average: tuple[int, int] | None
    incomplete: int

    @property
    def terms(self) -> list[Term]:
        """Terms with events, in the order of their coefficients."""
        return [self.treatment.terms[i] for i in self.sample.terms]

    def clusters(self, name: str) -> NDArray[np.intp]:
        """Give the cluster codes 0…G−1 of the rows with a likelihood."""
        if name == "unit":
            return self.sample.rows.unit
        return dense_codes(column_codes(self.rows, name)[self.sample.kept])

    def clusterings(self, cluster: Cluster) -> tuple[NDArray[np.intp], ...]:
        """Give the codes of the one or two clusterings that were asked for."""
        return tuple(self.clusters(name) for name in cluster_columns(cluster))

    def require_treated_clusters(self, cluster: Cluster) -> None:
        """Refuse an effect that one cluster alone shows: nothing tells how such clusters vary."""
        arms = [term.arm for term in self.terms]
        names = list(dict.fromkeys(arms))
        number = np.array([names.index(arm) for arm in arms] + [-1], dtype=np.intp)
        arm_of_row = number[self.sample.rows.term]  # the last one stands for rows without a term, −1
        for name, clusters in zip(cluster_columns(cluster), self.clusterings(cluster), strict=True):
            if clusters.max() > 0:  # a single cluster is told by the variance that was asked for
                require_treated_clusters(names, arm_of_row, clusters, name)
                doses = (arm_of_row[:, None] == np.arange(len(names))) * self.sample.rows.dose[:, None]
                require_several_comparisons(self.sample.rows, names, doses, clusters, name)

    def contrasts(self) -> list[tuple[Term, NDArray[np.float64]]]:
        """Give what is estimated: each term, or for each arm the mean over exposure times."""
        terms = self.terms
        if self.average is None:
            return list(zip(terms, np.eye(len(terms)), strict=True))
        return [_mean_over_exposure(terms, arm, self.average) for arm in dict.fromkeys(t.arm for t in terms)]

    def name(self, term: Term) -> str:
        """Name what is estimated, for tables."""
        if self.average is None:
            return term.name
        return f"{term.arm}, mean over exposure times {self._span}"

    @property
    def ratio(self) -> str:
        """Say whose ratio it is, and of what dose."""
        dose = self.treatment.dose
        per_dose = " per unit of dose" if np.any((dose > 0) & (dose != 1)) else ""
        return f"ITT incidence rate ratio{per_dose}"

    def estimand(self, term: Term) -> str:
        """Say what is estimated, in words."""
        ratio = self.ratio
        if self.average is not None:
            return f"{ratio}, mean over exposure times {self._span}"
        if term.exposure_time is None:
            return f"{ratio}, constant effect"
        return f"{ratio}, exposure time {term.exposure_time}"

    def cluster_name(self, cluster: Cluster) -> str:
        """Name the clusters, for tables."""
        return cluster_names(self.rows, cluster)

    @property
    def _span(self) -> str:
        assert self.average is not None
        return f"{self.average[0]}–{self.average[1]}"


def model_sample(
    panel: Panel,
    outcome: str,
    fixed_effects: Sequence[str],
    covariates: Sequence[str],
    effect: Effect,
    average: tuple[int, int] | None,
) -> ModelSample:
    """Read the panel for a rate model.

    Raises
    ------
    DataError
        An unknown column, or a covariate that is no number.
    EstimationError
        No event carries information on the effect, or nothing is there to compare.
    """
    require_names("fixed_effects", fixed_effects)
    rows = panel.rows(outcome)
    values, complete = centred_covariates(rows, covariates)
    if not complete.all():
        rows, values = rows.loc[complete].reset_index(drop=True), values[complete]
    treatment = treatment_terms(rows, effect)
    if average is not None:
        treatment = pool_without_events(treatment, rows["count"].to_numpy(dtype=float), average)
    sample = likelihood_rows(_unit_rows(rows, treatment, fixed_effects, values))
    _require_events(treatment, sample, average)
    _require_untreated_events(sample)
    return ModelSample(rows, treatment, sample, average, int(np.count_nonzero(~complete)))


def _unit_rows(
    rows: pd.DataFrame,
    treatment: TreatmentTerms,
    fixed_effects: Sequence[str],
    covariates: NDArray[np.float64],
) -> UnitRows:
    others = [name for name in fixed_effects if name != "unit"]
    return UnitRows(
        counts=rows["count"].to_numpy(dtype=float),
        exposure=rows["exposure"].to_numpy(dtype=float),
        unit=column_codes(rows, "unit"),
        effects=tuple(column_codes(rows, name) for name in others),
        term=treatment.term,
        dose=treatment.dose,
        n_terms=len(treatment.terms),
        covariates=covariates,
        unit_effects="unit" in fixed_effects,
    )


def _require_events(treatment: TreatmentTerms, sample: Sample, average: tuple[int, int] | None) -> None:
    lost = [term for i, term in enumerate(treatment.terms) if i not in sample.terms]
    if not lost:
        return
    needed = [t for t in lost if t.exposure_time is None or _within(t, average)]
    if needed:
        raise EstimationError(
            f"no event carries information on {', '.join(t.name for t in needed)}: its log rate ratio has no"
            " finite estimate. Choose an outcome with more events, or average over exposure times that"
            " have some; a randomization test needs none."
        )


def _require_untreated_events(sample: Sample) -> None:
    """Without one, lowering every other effect and raising the treatment's fits ever better."""
    untreated = sample.rows.term < 0
    if not sample.rows.counts[untreated].any():
        raise EstimationError(
            "no event happens without treatment in the units and periods that carry information, so the log"
            " rate ratio has no finite estimate. Choose an outcome with more events; a randomization test"
            " needs none."
        )


def _within(term: Term, average: tuple[int, int] | None) -> bool:
    return (
        average is not None
        and term.exposure_time is not None
        and average[0] <= term.exposure_time <= average[1]
    )


def _mean_over_exposure(
    terms: list[Term], arm: str, average: tuple[int, int]
) -> tuple[Term, NDArray[np.float64]]:
    first, last = average
    own = [t for t in terms if t.arm == arm]
    reached = sorted(time for t in own for time in (t.exposure_time, *t.also) if time is not None)
    if first < 1 or last < first or not set(range(first, last + 1)) <= set(reached):
        raise EstimationError(
            f"average=({first}, {last}): the exposure times of {arm} with data are"
            f" {', '.join(map(str, reached))}; give a first and a last one of these"
        )
    weights = [1 + len(t.also) if t.arm == arm and _within(t, average) else 0 for t in terms]
    return Term(arm), np.array(weights) / (last - first + 1)
