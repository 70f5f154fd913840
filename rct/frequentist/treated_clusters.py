"""Whether clusters show how treated ones vary: an arm that one cluster alone has tells nothing of it.

Nor does an effect that one cluster alone identifies: the only untreated one, or the only one whose treatment
changes. Its residuals are fitted away, and every clustered variance is of the other clusters.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from rct.errors import EstimationError
from rct.frequentist.collapsed_cells import UnitRows, collapse
from rct.frequentist.fixed_effects_likelihood import collinear_terms, weighted_projection, without
from rct.frequentist.inference.cluster_robust import FEW_CLUSTERS
from rct.frequentist.integer_codes import sums_by_code

if TYPE_CHECKING:
    from numpy.typing import NDArray


def lone_arm(clusters_of_arm: Iterable[tuple[str, NDArray[np.intp]]]) -> str | None:
    """Name the first arm whose rows (or units) all lie in one cluster; None where there is none."""
    return next((arm for arm, own in clusters_of_arm if own.min() == own.max()), None)


def require_treated_clusters(
    arms: list[str], arm: NDArray[np.integer], clusters: NDArray[np.intp], name: str
) -> None:
    """Refuse a single cluster, and an arm that one cluster alone has.

    Parameters
    ----------
    arms : names of the arms
    arm, clusters : (rows,) codes; −1 for a row without treatment
    name : column of the clusters

    Raises
    ------
    EstimationError
    """
    if clusters.min() == clusters.max():
        raise EstimationError(
            f"all rows lie in one cluster (clusters: {name}), so the variance between clusters does not"
            " exist; name a finer cluster, or use a randomization test"
        )
    alone = lone_arm((own, clusters[arm == code]) for code, own in enumerate(arms))
    if alone is not None:
        raise EstimationError(
            f"one cluster alone is treated ({alone}; clusters: {name}), so the variance between treated"
            " clusters does not exist; name a finer cluster, or use a randomization test"
        )


def require_several_comparisons(
    rows: UnitRows, arms: list[str], doses: NDArray[np.float64], clusters: NDArray[np.intp], name: str
) -> None:
    """Refuse an effect that is explained by the other effects as soon as one cluster is left out.

    The heaviest cluster and those with most of what the effects leave of a dose are tried. Of 40 clusters or
    more, neither covariates nor exposure are looked at: thousands share few courses of treatment.

    Parameters
    ----------
    rows : UnitRows
        Effects and covariates beside treatment; its terms are not looked at.
    arms : names of the columns of `doses`
    doses : (rows, arms)
    clusters : (rows,) codes 0…G−1
    name : column of the clusters

    Raises
    ------
    EstimationError
    """
    few = clusters.max() + 1 < FEW_CLUSTERS
    if not few:
        rows = replace(rows, exposure=np.ones(len(clusters)), covariates=rows.covariates[:, :0])
    design = np.hstack([rows.covariates, doses])
    beside = np.full(len(clusters), -1)
    summed = collapse(replace(rows, term=beside, n_terms=0, covariates=design), clusters if few else None)
    weight = sums_by_code(summed.cell, rows.exposure)
    cells = replace(summed.cells, counts=weight, exposure=weight)
    lost = collinear_terms(cells)
    first = rows.covariates.shape[1]
    if any(column >= first for column in lost):
        return  # told by the fit, with its own cause
    cells = replace(cells, design=np.delete(cells.design, lost, axis=1))
    first -= len(lost)
    left = weighted_projection(cells).residual_design[:, first:]
    sizes = [rows.exposure, *(rows.exposure * own[summed.cell] ** 2 for own in left.T)]
    for heaviest in {int(np.argmax(sums_by_code(clusters, size))) for size in sizes}:
        others = sums_by_code(summed.cell, clusters != heaviest)
        still = [column - first for column in collinear_terms(without(cells, others == 0))]
        alone = [arms[column] for column in still if column >= 0]
        if alone:
            raise EstimationError(
                f"the effect of {', '.join(alone)} rests on one cluster alone (clusters: {name}): it is the"
                " only one untreated, or the only one whose treatment changes, so the variance between such"
                " clusters does not exist; name a finer cluster, or use a randomization test"
            )
