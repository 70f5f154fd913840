"""Powers of a residual covariance by shifts, beside those by all its eigenvalues."""

from dataclasses import replace

import numpy as np
import pytest

from rct.frequentist.fixed_effects_likelihood import Cells, fit_fixed_effects
from rct.frequentist.inference import residual_covariance
from rct.frequentist.inference.cluster_robust import bell_mccaffrey, jackknife_like
from rct.frequentist.inference.residual_covariance import ResidualCovariance, inverse_root_rule


@pytest.mark.parametrize("spread", [1.0, 2.0, 1e3, 1e6, 1e12, 1e20])
def test_the_rule_is_the_inverse_root_over_the_whole_span(spread):
    shifts, weights = inverse_root_rule(3.0, 3.0 * spread)
    x = np.geomspace(3.0, 3.0 * spread, 200)
    assert (weights / (x[:, None] + shifts)).sum(axis=1) == pytest.approx(x**-0.5, rel=5e-15)


def officers(seed=5, divisions=6, size=6, months=20):
    """Cells of officers who each have exposures of their own, and the divisions they are of."""
    rng = np.random.default_rng(seed)
    officer = np.repeat(np.arange(divisions * size), months)
    month = np.tile(np.arange(months), divisions * size)
    division = officer // size
    exposure = rng.uniform(0.2, 3.0, len(officer))
    counts = rng.poisson(exposure * rng.gamma(4, 0.5, divisions * size)[officer]).astype(float)
    dose = (month >= 3 * division + 2).astype(float)
    design = np.column_stack([dose, rng.normal(size=len(officer))])
    return Cells(counts, exposure, officer, (month,), design), division, month


def cases():
    cells, division, month = officers()
    late = ((division == 2) & (month > 15)).astype(float)
    trends = np.column_stack([(division == d) * (month - 10.0) for d in range(1, 6)])
    wide = np.column_stack([cells.design, late])
    yield "officers with exposures of their own", cells, division
    yield "a column that one division alone has", replace(cells, design=wide), division
    yield "it first", replace(cells, design=wide[:, ::-1]), division
    yield "trends of divisions", replace(cells, design=np.hstack([cells.design, trends])), division
    yield "divisions across officers", cells, (month // 4 + cells.group) % 4
    yield "no officer effects", replace(cells, group=np.zeros_like(month)), division
    yield "no month effects", replace(cells, effects=()), division
    shuffled = np.random.default_rng(0).permutation(len(month))
    own = (cells.counts, cells.exposure, cells.group, month, cells.design)
    counts, exposure, group, months, design = (column[shuffled] for column in own)
    mixed = Cells(counts, exposure, group, (months,), design)
    yield "rows in any order", mixed, division[shuffled]


@pytest.mark.parametrize("variance", [bell_mccaffrey, jackknife_like])
@pytest.mark.parametrize(("cells", "clusters"), [pytest.param(c, g, id=name) for name, c, g in cases()])
def test_shifts_give_what_eigenvalues_give(cells, clusters, variance, monkeypatch):
    fit = fit_fixed_effects(cells)
    monkeypatch.setattr(residual_covariance, "DENSE", len(clusters))
    dense = variance(cells, fit, clusters)
    monkeypatch.setattr(residual_covariance, "DENSE", 0)
    ours = variance(cells, fit, clusters)
    scale = np.sqrt(np.outer(np.diag(dense.covariance), np.diag(dense.covariance)))
    assert ours.covariance / scale == pytest.approx(dense.covariance / scale, abs=1e-10)
    for contrast in np.eye(cells.design.shape[1]):
        assert ours.df(contrast) == pytest.approx(dense.df(contrast), rel=1e-10)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
@pytest.mark.parametrize("left", [0.28, 1e-8])
def test_two_groups_and_a_full_direction_by_hand(scale, left, monkeypatch):
    """d = 1, v'v = 1 in the first group and 1/2 in the second; F takes one direction off, and part of one."""
    own = np.array([1, 1, 1, 1]) / np.array([np.sqrt(2), np.sqrt(2), 2, 2])
    some = np.sqrt((1 - left) / 2)
    shared = np.array([[some, 0.0], [-some, 0.0], [0.0, np.sqrt(0.5)], [0.0, -np.sqrt(0.5)]])
    root_scale = np.sqrt(scale)
    made = ResidualCovariance(
        np.full(4, scale), root_scale * own, np.array([0, 0, 1, 1]), root_scale * shared
    )
    monkeypatch.setattr(residual_covariance, "DENSE", 0)
    root, inverse = made.inverse_root_times(np.eye(4)), made.inverse_times(np.eye(4))
    # Eigenvalues along sum and difference: 0 and what is left of the first two, 1/2 and 0 of the others.
    differ, both = np.array([1, -1, 0, 0]) / np.sqrt(2), np.array([0, 0, 1, 1]) / np.sqrt(2)
    for ours, power in ((root, -0.5), (inverse, -1.0)):
        by_hand = left**power * np.outer(differ, differ) + 0.5**power * np.outer(both, both)
        assert ours / scale**power == pytest.approx(by_hand, rel=1e-7, abs=1e-7)
