"""Drawn totals have the mean and variance that the declared truth implies in closed form."""

from dataclasses import replace

import numpy as np
import pytest

from rct import load
from rct.simulation.cluster_totals import draw_totals
from rct.simulation.nested_events import thin
from rct.simulation.officer_counts import draw_counts
from rct.simulation.truth import declared_truth

TRUTH = replace(declared_truth(load("louisville_icat")), trend=0.01)
DRAWS = 4_000


def many(truth, sizes, log_effects, draw, draws=DRAWS):
    return np.array([draw(np.random.default_rng(seed), truth, sizes, log_effects) for seed in range(draws)])


def implied(truth, sizes, log_effects):
    """Mean and variance of a total: Poisson given a gamma (n officers) × two log-normal factors."""
    rate = np.array(truth.rates)[:, None, None] * np.exp(
        log_effects + truth.trend * np.arange(log_effects.shape[2])
    )
    mean = rate * sizes[:, None]
    gamma = 1 + 1 / (truth.heterogeneity * sizes[:, None])
    lognormal = np.exp(truth.cluster_sd**2 + truth.cluster_period_sd**2)
    return mean, mean + mean**2 * (gamma * lognormal - 1)


def test_totals_have_the_implied_mean_and_variance():
    sizes = np.array([67, 30])
    log_effects = np.zeros((3, 2, 2))
    log_effects[:, :, 1] = np.log([[0.72], [0.74], [0.64]])
    draws = many(TRUTH, sizes, log_effects, draw_totals)
    mean, variance = implied(TRUTH, sizes, log_effects)
    assert draws.mean(0) == pytest.approx(mean, abs=4 * np.sqrt(variance.max() / DRAWS))
    assert draws.var(0) == pytest.approx(variance, rel=0.12)


def test_officers_summed_have_the_same_law_as_totals_drawn_directly():
    sizes = np.array([12, 5])
    clusters = np.repeat([0, 1], sizes)
    log_effects = np.zeros((3, 2, 2))

    def summed(rng, truth, sizes, log_effects):
        counts = draw_counts(rng, truth, clusters, clusters, log_effects[:, clusters])
        return np.stack([counts[:, clusters == c].sum(axis=1) for c in range(2)], axis=1)

    truth = replace(TRUTH, rates=(0.5, 0.2, 0.12))
    mean, variance = implied(truth, sizes, log_effects)
    draws = many(truth, sizes, log_effects, summed)
    assert draws.mean(0) == pytest.approx(mean, abs=4 * np.sqrt(variance.max() / DRAWS))
    assert draws.var(0) == pytest.approx(variance, rel=0.12)


def test_shared_incidents_keep_the_rate_and_have_the_declared_size_weighted_mean():
    truth = replace(
        TRUTH, rates=(0.4, 0.1, 0.05), counting=("every",) * 3, mean_size=1.5, trend=0.0, heterogeneity=2.0,
        cluster_sd=0.0, cluster_period_sd=0.0,
    )  # fmt: skip
    clusters = np.repeat(np.arange(4), 40)
    draws = many(
        truth, clusters, np.zeros((3, 160, 3)), lambda rng, t, c, e: draw_counts(rng, t, c, c, e)[:, :, 0],
        draws=DRAWS // 4,
    )  # fmt: skip
    per_officer = draws.mean(axis=(0, 2))
    assert per_officer == pytest.approx([0.4, 0.1, 0.05], rel=0.03)
    assert (draws[:, 1] <= draws[:, 0]).all()
    assert (draws[:, 2] <= draws[:, 0]).all()


def test_squads_smaller_than_some_incidents_keep_the_declared_rate():
    truth = replace(
        TRUTH, rates=(0.4, 0.1, 0.05), counting=("every",) * 3, mean_size=2.0, trend=0.0,
        heterogeneity=np.inf, cluster_sd=0.0, cluster_period_sd=0.0,
    )  # fmt: skip
    squads = np.repeat(np.arange(40), [2, 3] * 20)
    draws = many(
        truth, squads, np.zeros((3, 100, 4)), lambda rng, t, c, e: draw_counts(rng, t, c, c, e),
        draws=DRAWS // 4,
    )  # fmt: skip
    assert draws.mean(axis=(0, 2, 3)) == pytest.approx([0.4, 0.1, 0.05], rel=0.02)


def test_units_that_vary_from_period_to_period_vary_by_the_declared_amount():
    truth = replace(TRUTH, cluster_sd=0.0, cluster_period_sd=0.8, heterogeneity=np.inf, rates=(1.0, 0.1, 0.1))
    sizes, log_effects = np.array([50]), np.zeros((3, 1, 4))
    draws = many(truth, sizes, log_effects, draw_totals)[:, 0, 0]
    _, variance = implied(truth, sizes, log_effects)
    assert draws.var(axis=0) == pytest.approx(variance[0, 0], rel=0.25)
    between = np.corrcoef(draws.T)[~np.eye(4, dtype=bool)]
    assert np.abs(between).max() < 0.1


def test_shares_of_incidents_sum_to_incidents():
    truth = replace(TRUTH, counting=("share", "first", "first"), mean_size=2.0)
    clusters = np.zeros(30, dtype=np.int64)
    counts = draw_counts(np.random.default_rng(1), truth, clusters, clusters, np.zeros((3, 30, 4)))
    assert counts[0].sum() == pytest.approx(round(counts[0].sum()))
    assert (counts[0] % 1 > 0).any()


def test_thinning_gives_the_declared_joint_table():
    incidents = np.full(200_000, 1)
    chance = np.array([np.full(200_000, 0.4), np.full(200_000, 0.24)])
    citizen, officer = thin(np.random.default_rng(7), incidents, chance, 0.2)
    share = [citizen.mean(), officer.mean(), (citizen * officer).mean()]
    assert share == pytest.approx([0.4, 0.24, 0.2 * 0.24], abs=0.005)


@pytest.mark.parametrize("by_officer", [False, True])
def test_several_persons_an_incident_keep_the_declared_rate(by_officer):
    truth = replace(
        TRUTH, persons=(1.0, 1.4, 1.0), trend=0.0, heterogeneity=np.inf, cluster_sd=0.0, cluster_period_sd=0.0
    )
    sizes, clusters = np.array([40]), np.zeros(40, dtype=np.int64)

    def draw(rng, truth, sizes, effects):
        if not by_officer:
            return draw_totals(rng, truth, sizes, effects)
        return draw_counts(rng, truth, clusters, clusters, effects[:, clusters]).sum(axis=1, keepdims=True)

    draws = many(truth, sizes, np.zeros((3, 1, 5)), draw)
    assert draws.mean(axis=(0, 2, 3)) == pytest.approx(40 * np.array([0.05, 0.02, 0.012]), rel=0.03)
    assert draws[:, 1].var() > 1.15 * draws[:, 1].mean()


def test_injuries_never_exceed_incidents():
    sizes = np.array([5, 5])
    draws = many(TRUTH, sizes, np.zeros((3, 2, 3)), draw_totals)
    assert (draws[:, 1:] <= draws[:, :1]).all()
