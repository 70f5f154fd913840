"""Wild cluster bootstrap of a rate ratio by the score, with the null imposed (Kline & Santos 2012).

The efficient score of the effect under test is a sum of one contribution for each cluster. Under the null
each has mean zero, so sums of the contributions with random signs show how far the score strays by chance;
no model is fitted again. Interval: the ratios that the test does not reject, entered as offsets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from rct.errors import EstimationError
from rct.estimates import Estimate, Estimates
from rct.frequentist.asked_options import (
    require_draws,
    require_effect,
    require_level,
    require_one_of,
    require_seed,
)
from rct.frequentist.collapsed_cells import Collapse, collapse
from rct.frequentist.fixed_effects_likelihood import fit_fixed_effects, less_explained
from rct.frequentist.inference.inverted_test import Statistic, limits, root
from rct.frequentist.inference.score_randomization import share_as_extreme
from rct.frequentist.inference.sign_weights import FEW_SIGNS, SignWeights, Weights, sign_weights
from rct.frequentist.integer_codes import sums_by_code
from rct.frequentist.model_sample import ModelSample, model_sample
from rct.frequentist.treatment_terms import Effect, Term

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rct.panel import Panel

COLLINEAR = 1e-9


def wild_bootstrap(
    panel: Panel,
    outcome: str,
    *,
    fixed_effects: Sequence[str] = ("unit", "period"),
    covariates: Sequence[str] = (),
    cluster: str | None = None,
    weights: Weights = "auto",
    draws: int | Literal["exact"] = 9999,
    seed: int | None = None,
    effect: Effect = "constant",
    average: tuple[int, int] | None = None,
    level: float = 0.95,
) -> Estimate | Estimates:
    """Test a rate ratio by the wild cluster bootstrap of its score.

    Parameters
    ----------
    panel : Panel
    outcome : str
        A count; fractions are refused unless the panel declares them.
    fixed_effects, covariates, effect, average
        Of the Poisson model, as in `poisson`.
    cluster : str, optional
        Column whose values share an error; the panel's cluster where absent.
    weights : {"auto", "rademacher", "webb"}
        "auto": Webb's six points below 9 clusters, else random signs. Below 9 a warning says how keen the
        test then is.
    draws : int or "exact"
        Number of weight vectors; all of them where there are no more than that, or with "exact".
    seed : int, optional
        Of the weights; required where they are sampled.
    level : float
        Of the interval.

    Returns
    -------
    Estimate or Estimates
        One for each effect, on the log scale: the maximum-likelihood estimate (the root of the score), its
        interval by inversion of the test, and no standard error. `null_draws` holds the weighted sums.

    Raises
    ------
    EstimationError
        The effect does not exist in this sample, or there is one cluster only.
    """
    require_level(level)
    require_effect(effect, average)
    require_one_of("weights", weights, ("auto", "rademacher", "webb"))
    require_draws(draws)
    require_seed(seed)
    if not isinstance(cluster, str | None):
        raise EstimationError("the score bootstrap draws signs for one kind of cluster; name one column")
    panel.require_counts(outcome, asked_by="the score bootstrap")
    model = model_sample(panel, outcome, fixed_effects, covariates, effect, average)
    by = cluster or "cluster"
    clusters = model.clusters(by)
    n_clusters = int(clusters.max()) + 1
    if n_clusters < 2:
        raise EstimationError(
            "all rows with a likelihood lie in one cluster, so nothing shows how the score varies between"
            " clusters; name a finer cluster"
        )
    model.require_treated_clusters(cluster)
    signs = sign_weights(n_clusters, weights, draws, seed)
    summed = collapse(model.sample.rows)
    values = model.rows.loc[model.sample.kept, by].astype(str).unique().tolist()
    describe = _Description(
        panel, outcome, model, signs, model.cluster_name(cluster), values, fixed_effects, covariates, level
    )
    rows = [
        _estimate(describe, term, _ScoreOfContrast(model, summed, clusters, contrast))
        for term, contrast in model.contrasts()
    ]
    return rows[0] if len(rows) == 1 else Estimates(tuple(rows))


class _ScoreOfContrast:
    """Contributions of the clusters to the efficient score of one contrast of the treatment terms.

    The terms' coefficients are written as (value of the contrast) × direction + what leaves it unchanged;
    the second part is free under the null.
    """

    def __init__(
        self, model: ModelSample, summed: Collapse, clusters: NDArray[np.intp], contrast: NDArray[np.float64]
    ) -> None:
        self._model, self._summed, self._clusters = model, summed, clusters
        n_terms = len(contrast)
        terms, covariates = summed.cells.design[:, :n_terms], summed.cells.design[:, n_terms:]
        pivot = int(np.argmax(np.abs(contrast)))
        unchanged = np.delete(np.eye(n_terms), pivot, axis=1)
        unchanged[pivot] = -np.delete(contrast, pivot) / contrast[pivot]
        self._tested = terms @ (contrast / (contrast @ contrast))
        self._free = np.hstack([terms @ unchanged, covariates])
        self.contributions = lru_cache(maxsize=None)(self._contributions)

    def _contributions(self, log_ratio: float) -> NDArray[np.float64]:
        """Give (clusters,) if the contrast had this value."""
        cells = self._summed.cells
        offset = np.exp(log_ratio * self._tested)
        fit = fit_fixed_effects(replace(cells, exposure=cells.exposure * offset, design=self._free))
        if fit.collinear:
            raise EstimationError(
                "a covariate or another treatment term is explained by the fixed effects; leave it out"
            )
        rows = self._model.sample.rows
        efficient = less_explained(self._tested, cells.group, fit)
        if efficient**2 @ fit.fitted <= COLLINEAR * (self._tested**2 @ fit.fitted):
            raise EstimationError(
                "treatment is explained by the fixed effects, so its score is zero whatever the counts are:"
                " if everyone crosses in the same period, period effects and treatment are one"
            )
        residual = rows.counts - self._summed.share * fit.fitted[self._summed.cell]
        return sums_by_code(self._clusters, efficient[self._summed.cell] * residual)


@dataclass(frozen=True)
class _Description:
    panel: Panel
    outcome: str
    model: ModelSample
    signs: SignWeights
    cluster: str
    cluster_values: list[str]
    fixed_effects: Sequence[str]
    covariates: Sequence[str]
    level: float


def _estimate(about: _Description, term: Term, score: _ScoreOfContrast) -> Estimate:
    signs, sample = about.signs, about.model.sample
    at = Statistic(
        lambda log_ratio: float(score.contributions(log_ratio).sum()),
        lambda log_ratio: signs.totals(score.contributions(log_ratio)),
    )
    observed, null = at.observed(0.0), at.null(0.0)
    estimate = root(at.observed)
    low, high = limits(at, estimate, about.level, exact=signs.exact)
    number = f"all {len(null)} vectors" if signs.exact else f"{len(null)} draws"
    n_clusters = signs.codes.shape[1]
    return Estimate(
        outcome=about.outcome,
        term=about.model.name(term),
        arm=term.arm,
        reference=about.panel.control,
        exposure_time=float("nan") if term.exposure_time is None else float(term.exposure_time),
        estimand=about.model.estimand(term),
        method=f"Poisson, {' and '.join(about.fixed_effects) or 'no'} effects"
        + (f", covariates {', '.join(about.covariates)}" if about.covariates else ""),
        inference=f"wild cluster bootstrap of the score, {signs.name} weights, {number}"
        f" ({n_clusters} clusters: {about.cluster})",
        scale="log",
        level=about.level,
        estimate=estimate,
        conf_low=low,
        conf_high=high,
        p_value=float(share_as_extreme(np.array(observed), null, exact=signs.exact)),
        n_units=int(sample.rows.unit.max()) + 1,
        n_clusters=n_clusters,
        n_events=float(sample.rows.counts.sum()),
        warning=_warning(about),
        null_draws=null,
        draws_hash=signs.hash(about.cluster_values),
        notes={
            "statistic": observed,
            "draws": len(null),
            "exact": signs.exact,
            "dropped_units": sample.dropped_units,
            "dropped_single": sample.dropped_single,
            "dropped_levels": sample.dropped_levels,
            "incomplete_rows": about.model.incomplete,
        },
    )


def _warning(about: _Description) -> str:
    parts = []
    alpha = 1 - about.level
    if about.signs.smallest_p > alpha * (1 + 1e-9):
        parts.append(
            f"the smallest p-value that {about.signs.codes.shape[1]} clusters and these weights can give is"
            f" {about.signs.smallest_p:.3g}, above {alpha:.3g}: the test can never reject"
        )
    if about.signs.codes.shape[1] < FEW_SIGNS:
        parts.append(
            f"only {about.signs.codes.shape[1]} clusters (fewer than {FEW_SIGNS}): in simulated wedges of 6"
            " divisions the test rejected 7 % of true nulls at 5 %; trust a randomization test before it"
        )
    if about.model.sample.dropped_units:
        parts.append(f"{about.model.sample.dropped_units} units without an event carry no information")
    if about.model.incomplete:
        parts.append(f"{about.model.incomplete} rows with a missing covariate were left out")
    return "; ".join(parts)
