"""Laws that cluster-robust variances obey."""

import numpy as np
import pytest

from rct.frequentist.fixed_effects_likelihood import Cells, fit_fixed_effects
from rct.frequentist.inference.cluster_robust import (
    bell_mccaffrey,
    chosen_correction,
    jackknife_like,
    small_sample_factor,
)


def cells_of(n_clusters=6, periods=8):
    cluster, period = np.divmod(np.arange(n_clusters * periods), periods)
    counts = (cluster * 7 + period * 5 + cluster * period * 3) % 11 + 1.0
    dose = (period >= np.array([2, 3, 4, 5, 6, 8])[cluster]).astype(float)
    return Cells(counts, np.ones(len(counts)), cluster, (period,), dose[:, None]), cluster


def dense_cr2(cells, cluster, term=-1):
    """CR2 and its df from the definition of Pustejovsky & Tipton (2018), with every dummy in the design."""
    fit = fit_fixed_effects(cells)
    mu, residual = fit.fitted, cells.counts - fit.fitted
    design = np.column_stack(
        [np.eye(cells.group.max() + 1)[cells.group], fit.swept.rows(np.arange(len(cells.group)))]
    )
    bread = np.linalg.inv(design.T @ (mu[:, None] * design))
    maker = np.eye(len(mu)) - (mu[:, None] * design) @ bread @ design.T
    theta = np.diag(mu)
    covariance, influence = maker @ theta @ maker.T, np.zeros((cluster.max() + 1, len(mu)))
    for g in range(cluster.max() + 1):
        rows = np.flatnonzero(cluster == g)
        root = np.diag(np.sqrt(mu[rows]))
        values, vectors = np.linalg.eigh(root @ covariance[np.ix_(rows, rows)] @ root)
        power = np.where(values > 1e-10, np.abs(values) ** -0.5, 0)
        adjust = root @ (vectors * power) @ vectors.T @ root
        influence[g, rows] = adjust @ design[rows] @ bread[:, term]
    working = influence @ covariance @ influence.T
    return np.sqrt(((influence @ residual) ** 2).sum()), np.trace(working) ** 2 / (working**2).sum()


def test_cr2_and_its_degrees_of_freedom_follow_the_definition_with_all_dummies():
    cells, cluster = cells_of()
    ours = bell_mccaffrey(cells, fit_fixed_effects(cells), cluster)
    se, df = dense_cr2(cells, cluster)
    assert ours.std_error(np.ones(1)) == pytest.approx(se, rel=1e-10)
    assert ours.df(np.ones(1)) == pytest.approx(df, rel=1e-8)


def test_cr2_follows_the_definition_where_clusters_hold_several_groups_too():
    cells, group = cells_of()
    cluster = group // 2
    ours = bell_mccaffrey(cells, fit_fixed_effects(cells), cluster)
    fit_design = Cells(cells.counts, cells.exposure, group, cells.effects, cells.design)
    se, df = dense_cr2_clusters(fit_design, cluster)
    assert ours.std_error(np.ones(1)) == pytest.approx(se, rel=1e-10)
    assert ours.df(np.ones(1)) == pytest.approx(df, rel=1e-8)


def dense_cr2_clusters(cells, cluster):
    fit = fit_fixed_effects(cells)
    wide = Cells(
        cells.counts, cells.exposure, np.zeros_like(cells.group), (cells.group, *cells.effects), cells.design
    )
    assert fit_fixed_effects(wide).coefficients == pytest.approx(fit.coefficients, abs=1e-10)
    return dense_cr2(wide, cluster)


def test_cr3_is_at_least_cr2_and_near_the_jackknife():
    cells, cluster = cells_of()
    fit = fit_fixed_effects(cells)
    cr2 = bell_mccaffrey(cells, fit, cluster).std_error(np.ones(1))
    cr3 = jackknife_like(cells, fit, cluster).std_error(np.ones(1))
    left_out = []
    for g in range(6):
        rows = cluster != g
        part = Cells(
            cells.counts[rows], cells.exposure[rows], np.unique(cells.group[rows], return_inverse=True)[1],
            (cells.effects[0][rows],), cells.design[rows],
        )  # fmt: skip
        left_out.append(fit_fixed_effects(part).coefficients[0])
    jackknife = np.sqrt(5 / 6 * ((np.array(left_out) - fit.coefficients[0]) ** 2).sum())
    assert cr3 > cr2
    assert cr3 == pytest.approx(jackknife, rel=0.15)


def test_small_sample_factors_are_those_of_their_definitions():
    counts = {"n_clusters": 9, "n_rows": 216, "n_parameters": 33}
    assert small_sample_factor("CR0", **counts) == 1
    assert small_sample_factor("CR1", **counts) == 9 / 8
    assert small_sample_factor("CR1S", **counts) == pytest.approx(9 / 8 * 215 / 183)


def test_auto_is_cr2_below_forty_clusters():
    assert [chosen_correction("auto", g) for g in (9, 39, 40)] == ["CR2", "CR2", "CR1"]
    assert chosen_correction("CR0", 9) == "CR0"
