"""The collapse of a panel's rows, kept on the panel: what it is depends on no outcome.

Units without an event add nothing to the sums over alike units, so which units are added up can be settled
once for a panel; after that a fit and its scores need only the rows that have an event, which are few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rct.frequentist.clustered_fit import ClusteredFit
from rct.frequentist.collapsed_cells import (
    AlikeUnits,
    Events,
    UnitRows,
    alike_units,
    codes_of_units,
    differing,
    relative_exposure,
    scores_of_units,
    treatment_design,
)
from rct.frequentist.estimation_sample import Sample, SampleSize
from rct.frequentist.fixed_effects_likelihood import (
    Cells,
    FixedEffectsFit,
    collinear_terms,
    fit_fixed_effects,
    without,
)
from rct.frequentist.inference.cluster_robust import (
    FEW_CLUSTERS,
    Correction,
    chosen_correction,
    model_variance,
    parameters_outside_clusters,
    sandwich,
    small_sample_factor,
)
from rct.frequentist.integer_codes import dense_codes, sums_by_code
from rct.frequentist.model_sample import ModelSample
from rct.frequentist.panel_columns import column_codes
from rct.frequentist.treated_clusters import lone_arm
from rct.frequentist.treatment_terms import Effect, TreatmentTerms, treatment_terms

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from rct.panel import Panel


@dataclass(frozen=True)
class Layout:
    """Rows and cells of a panel, for one set of effects and clusters.

    model : a sample in which alike units are one: what names terms and estimands
    cluster_name : for tables
    cells : the cells that alike units are summed to, without their counts
    alike : units and the cells of their rows
    cluster : (units,) codes
    """

    model: ModelSample
    cluster_name: str
    cells: Cells
    alike: AlikeUnits
    cluster: NDArray[np.intp]


def panel_layout(
    panel: Panel, outcome: str, fixed_effects: Sequence[str], effect: Effect, cluster: str
) -> Layout | None:
    """Give the layout, made when it is first asked for; None where rows cannot be settled beforehand."""
    own = f"exposure:{outcome}"
    exposure = own if own in panel.frame else "exposure"
    key = ("layout", exposure, tuple(fixed_effects), effect, cluster)
    kept = panel.kept
    if key not in kept:
        kept[key] = _layout(panel, outcome, fixed_effects, effect, cluster)
    return kept[key]


def _layout(
    panel: Panel, outcome: str, fixed_effects: Sequence[str], effect: Effect, cluster: str
) -> Layout | None:
    rows, own = panel.frame, f"exposure:{outcome}"
    exposure = rows[own if own in rows else "exposure"].to_numpy(dtype=float)
    # A missing value makes the minimum missing.
    complete = exposure.min() > 0 and rows["treated"].to_numpy().min() >= 0
    if outcome not in panel.outcomes or not complete or "unit" not in fixed_effects:
        return None
    spells = panel.spells
    first = spells.units
    clusters = _of_units(rows, cluster, first)
    if clusters is None:
        return None
    treatment = treatment_terms(rows, effect, spells)
    effects = [column_codes(rows, name) for name in fixed_effects if name != "unit"]
    relative = relative_exposure(exposure, first)
    alike = alike_units(
        first, [*effects, treatment.term], [*differing(treatment.dose, treatment.term), relative]
    )
    if len(alike.start) > len(first) // 2:
        return None
    at, n_terms = alike.example, len(treatment.terms)
    of_cells = TreatmentTerms(treatment.terms, treatment.term[at], treatment.dose[at])
    cells = UnitRows(
        counts=np.zeros(len(at)),
        exposure=relative[at],
        unit=alike.group,
        effects=tuple(codes[at] for codes in effects),
        term=of_cells.term,
        dose=of_cells.dose,
        n_terms=n_terms,
        covariates=np.empty((len(at), 0)),
        unit_effects=True,
    )
    sample = Sample(cells, np.ones(len(at), dtype=bool), tuple(range(n_terms)), 0, 0, 0)
    model = ModelSample(rows, of_cells, sample, None, 0)
    return Layout(model, model.cluster_name(cluster), _cells(cells), alike, clusters)


def _of_units(rows: pd.DataFrame, cluster: str, first: NDArray[np.intp]) -> NDArray[np.intp] | None:
    """Number the clusters of the units; None where one unit has several."""
    if cluster == "unit" or (cluster in rows and rows[cluster].equals(rows["unit"])):
        return np.arange(len(first))
    return codes_of_units(column_codes(rows, cluster), first)


def _cells(rows: UnitRows) -> Cells:
    design = treatment_design(rows.term, rows.dose, rows.n_terms, rows.covariates)
    return Cells(rows.counts, rows.exposure, rows.unit, rows.effects, design)


def fit_layout(
    layout: Layout, counts: NDArray, correction: Correction
) -> tuple[ClusteredFit, SampleSize] | None:
    """Fit, with the variance asked for; None where the general path has to see to it.

    That is so with terms or no treatment without an event, units seen once, CR2, CR3, one (treated) cluster,
    and where an effect may rest on one cluster.
    """
    events = layout.alike.events(counts)
    of_unit = sums_by_code(events.unit, events.counts, len(layout.alike.pattern))
    of_cell = sums_by_code(events.cell, events.counts, len(layout.cells.counts))
    seen, kept = of_unit > 0, _with_events(layout.cells, of_cell)
    pattern, clusters = layout.alike.pattern[seen], _dense(layout.cluster[seen])
    n_rows = np.bincount(layout.cells.group, kept)[pattern]
    n_clusters = int(clusters.max(initial=-1)) + 1
    chosen = chosen_correction(correction, n_clusters)
    by_term = of_cell @ (layout.cells.design != 0)
    if n_clusters < 2 or chosen in ("CR2", "CR3") or not (by_term > 0).all() or n_rows.min() < 2:
        return None
    untreated = kept & ~(layout.cells.design != 0).any(axis=1)
    if not of_cell[untreated].any() or _one_treated_cluster(layout, pattern, clusters):
        return None
    cells = Cells(
        of_cell[kept],
        layout.cells.exposure[kept],
        dense_codes(layout.cells.group[kept]),
        tuple(dense_codes(codes[kept]) for codes in layout.cells.effects),
        layout.cells.design[kept],
    )
    fit, pattern = fit_fixed_effects(cells), dense_codes(pattern)
    if chosen != "model" and _rests_on_one(cells, fit, of_unit[seen], pattern, clusters):
        return None
    lost = [
        _levels(own) - _levels(left) for own, left in zip(layout.cells.effects, cells.effects, strict=True)
    ]
    size = SampleSize(
        units=len(pattern),
        rows=int(n_rows.sum()),
        events=float(events.counts.sum()),
        dropped_units=len(seen) - len(pattern),
        dropped_single=0,
        dropped_levels=sum(lost),
    )
    path = "collapsed" if _levels(cells.group) < size.units else "general"
    if fit.collinear or chosen == "model":
        variance = None if fit.collinear else model_variance(fit, n_clusters)
        return ClusteredFit(cells, fit, variance, chosen, path), size
    n_parameters = (
        fit.swept.width + size.units if chosen == "CR1S" else _outside_clusters(cells, pattern, clusters)
    )
    factor = small_sample_factor(chosen, n_clusters=n_clusters, n_rows=size.rows, n_parameters=n_parameters)
    left = Events(events.counts, (np.cumsum(seen) - 1)[events.unit], (np.cumsum(kept) - 1)[events.cell])
    scores = scores_of_units(left, of_unit[seen], pattern, cells, fit)
    by_cluster = np.column_stack([sums_by_code(clusters, own) for own in scores.T])
    variance = sandwich(fit.bread, by_cluster, factor, n_clusters - 1)
    return ClusteredFit(cells, fit, variance, chosen, path), size


def _one_treated_cluster(layout: Layout, pattern: NDArray[np.intp], clusters: NDArray[np.intp]) -> bool:
    """Whether some arm is that of one cluster alone."""
    arms = np.array([term.arm for term in layout.model.terms])
    has_arm = {
        arm: np.bincount(layout.cells.group, (layout.cells.design[:, arms == arm] != 0).any(axis=1)) > 0
        for arm in arms.tolist()
    }
    return lone_arm((arm, clusters[own[pattern]]) for arm, own in has_arm.items()) is not None


def _rests_on_one(
    cells: Cells,
    fit: FixedEffectsFit,
    of_unit: NDArray[np.float64],
    pattern: NDArray[np.intp],
    clusters: NDArray[np.intp],
) -> bool:
    """Whether leaving out a cluster leaves a term explained: by the patterns that it alone has.

    Of 40 clusters or more the heaviest, and those with most of what the effects leave of a term, are tried.
    """
    n_clusters = int(clusters.max()) + 1
    tried = set(range(n_clusters))
    if n_clusters >= FEW_CLUSTERS:
        left = [sums_by_code(cells.group, fit.fitted * column**2) for column in fit.residual_design.T]
        each = [of_unit, *(of_unit * (own / sums_by_code(cells.group, fit.fitted))[pattern] for own in left)]
        tried = {int(np.argmax(sums_by_code(clusters, size))) for size in each}
    for one in tried:
        others = np.bincount(pattern[clusters != one], minlength=_levels(cells.group)) > 0
        if not others.all() and collinear_terms(without(cells, ~others[cells.group])):
            return True
    return False


def _with_events(cells: Cells, counts: NDArray[np.float64]) -> NDArray[np.bool_]:
    kept = np.ones(len(counts), dtype=bool)
    for codes in (cells.group, *cells.effects):
        kept &= (sums_by_code(codes, counts) > 0)[codes]
    return kept


def _outside_clusters(cells: Cells, pattern: NDArray[np.intp], clusters: NDArray[np.intp]) -> int:
    """Count coefficients without the effects nested in clusters; units always are.

    A level lies in one cluster if the first and the last cluster of all its patterns are that one.
    """
    lowest = np.full(_levels(cells.group), len(clusters))
    highest = np.full(len(lowest), -1)
    np.minimum.at(lowest, pattern, clusters)
    np.maximum.at(highest, pattern, clusters)
    ends = np.concatenate([lowest[cells.group], highest[cells.group]])
    twice = (np.concatenate([codes, codes]) for codes in cells.effects)
    return parameters_outside_clusters(cells.design.shape[1], twice, (ends,))


def _levels(codes: NDArray[np.intp]) -> int:
    return int(codes.max(initial=-1)) + 1


def _dense(codes: NDArray[np.intp]) -> NDArray[np.intp]:
    return dense_codes(codes) if len(codes) else codes
