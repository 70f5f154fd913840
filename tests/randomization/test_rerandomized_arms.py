"""Rerandomization of several arms: M of all arms together, against exact spaces, MANOVA and chi-square."""

from fractions import Fraction
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, kstest
from statsmodels.multivariate.manova import MANOVA

from rct.errors import AllocationError
from rct.randomization import acceptance_threshold, randomize, remaining_variance, verify
from rct.randomization.covariates import Covariates
from rct.randomization.random_draws import all_draws, random_draws
from rct.randomization.restriction_scores import Scoring, mahalanobis_scores

ARMS = [frozenset({1}), frozenset({2}), frozenset({0})]
THIRDS = (Fraction(1, 3),) * 3
PARALLEL = 'kind = "parallel"\nperiods = 6\n[randomization]\ncovariates = ["officers", "rate"]\nscheme = '


def whole(rng, units, covariates=2):
    values = rng.integers(-900, 900, (units, covariates)).tolist()
    return Covariates(("a", "b", "c")[:covariates], (1,) * covariates, tuple(map(tuple, values)), 1)


def exact(scoring: Scoring) -> list[Fraction]:
    return [scoring.exact(score) for score in scoring.scores]


@pytest.mark.parametrize("left_out", ARMS)
def test_which_arm_is_left_out_makes_no_difference_in_blocks_with_left_over_places(left_out):
    blocks = [(np.array([0, 2, 4]), THIRDS), (np.array([1, 3, 5, 6]), THIRDS)]
    draws, covariates = all_draws(blocks), whole(np.random.default_rng(1), 7)
    stacked = [group for group in ARMS if group != left_out]
    found = exact(mahalanobis_scores(draws, blocks, stacked, covariates))
    assert found == exact(mahalanobis_scores(draws, blocks, ARMS[:2], covariates))
    # T'V⁻¹T has the rank of V, (3 - 1)·2, as its mean exactly when V is the covariance of T.
    assert sum(found) / len(draws) == 4


def test_other_units_of_measurement_and_sums_of_covariates_give_the_same_distances():
    blocks, covariates = [(np.arange(7), THIRDS)], whole(np.random.default_rng(2), 7)
    draws = all_draws(blocks)
    mixed = Covariates(covariates.names, (1, 1), tuple((3 * a, a - 2 * b) for a, b in covariates.values), 1)
    found = [exact(mahalanobis_scores(draws, blocks, ARMS[:2], each)) for each in (covariates, mixed)]
    assert found[0] == found[1]


def test_with_fixed_numbers_the_distance_is_pillais_trace_of_a_manova_by_statsmodels():
    units, counts = 9, (4, 3, 2)
    covariates = whole(np.random.default_rng(3), units)
    blocks = [(np.arange(units), tuple(Fraction(count, units) for count in counts))]
    draws = random_draws(blocks, n=12, seed=1)
    found = exact(mahalanobis_scores(draws, blocks, ARMS[:2], covariates))
    for draw, distance in zip(draws, found, strict=True):
        frame = pd.DataFrame(covariates.values, columns=["a", "b"]).assign(arm=draw)
        tests = MANOVA.from_formula("a + b ~ C(arm)", frame).mv_test().results["C(arm)"]["stat"]
        assert float(distance) == pytest.approx((units - 1) * tests.loc["Pillai's trace", "Value"], rel=1e-9)


def test_in_large_trials_the_distance_is_chi_square_and_the_variance_left_is_the_stated_share():
    units, share = 90, 0.2
    covariates = whole(np.random.default_rng(4), units, 3)
    blocks = [(np.arange(units), (Fraction(1, 2), Fraction(1, 3), Fraction(1, 6)))]
    draws = random_draws(blocks, n=6_000, seed=2)
    scoring = mahalanobis_scores(draws, blocks, ARMS[:2], covariates)
    distances = np.array([float(distance) for distance in exact(scoring)])
    threshold = acceptance_threshold(3, share, arms=3)
    assert threshold == chi2.ppf(share, 6)
    # Six thousand draws: the Kolmogorov distance of the true law from chi-square is about .01 at 90 units.
    assert kstest(distances, chi2(6).cdf).statistic < 0.03
    kept = draws[distances <= threshold]
    assert len(kept) / len(draws) == pytest.approx(share, abs=4 * (share * (1 - share) / 6_000) ** 0.5 + 0.01)
    values = np.array(covariates.values, dtype=float)
    pairs = [*combinations(range(3), 2)]
    left = [_spread(kept, values, *pair) / _spread(draws, values, *pair) for pair in pairs]
    expected = remaining_variance(3, threshold, arms=3)
    # Nine ratios; that of 1,200 accepted draws has a standard error of about 4 % of itself.
    assert np.mean(left) == pytest.approx(expected, rel=0.06)
    np.testing.assert_allclose(left, expected, rtol=0.2)


def _spread(draws, values, one, two):
    """Give the variance over draws of the difference of two arms' means, by covariate."""
    first, second = (
        (draws == arm) @ values / (draws == arm).sum(axis=1, keepdims=True) for arm in (one, two)
    )
    return np.var(first - second, axis=0)


@pytest.fixture
def roster():
    rng = np.random.default_rng(5)
    return pd.DataFrame(
        {
            "officer_id": [f"u{i:02d}" for i in range(9)],
            "officers": rng.integers(10, 60, 9).astype(str),
            "rate": rng.integers(1, 400, 9).astype(str),
        }
    )


def pillai(roster, draws):
    """Give tr(S⁻¹B), B between the arms and S in all, of equal arms."""
    values = roster[["officers", "rate"]].to_numpy(dtype=float)
    values = values - values.mean(axis=0)
    means = np.stack([(draws == arm) @ values / 3 for arm in range(3)], axis=1)
    return np.einsum("dak,kl,dal->d", means, np.linalg.inv(values.T @ values), means) * 3


def test_three_arms_are_rerandomized_verified_and_each_unit_keeps_a_third(declared, roster):
    threshold = round(acceptance_threshold(2, 0.3, arms=3), 3)
    trial = declared(PARALLEL + f'"rerandomized"\nthreshold = {threshold}', treatments='["A", "B"]')
    allocation = randomize(trial, roster, seed=1)
    record = allocation.certificate["restriction"]
    assert (record["candidates"], record["whole_space"]) == (1_680, True)
    assert record["accepted"] == (pillai(roster, all_draws([(np.arange(9), THIRDS)])) * 8 <= threshold).sum()
    # Renaming arms of equal size leads from an accepted allocation to an accepted one.
    np.testing.assert_allclose(allocation.probabilities, 1 / 3, atol=1e-12)
    assert verify(allocation.certificate, roster.iloc[::-1]).ok


@pytest.mark.parametrize("rule", ["rerandomized", "constrained"])
def test_cells_of_a_factorial_trial_are_restricted_where_they_divide_evenly(declared, roster, rule):
    keys = "threshold = 4" if rule == "rerandomized" else "keep = 0.2"
    trial = declared(PARALLEL + f'"{rule}"\n{keys}', factors='["A", "B"]')
    allocation = randomize(trial, roster.head(8), seed=1)
    assert allocation.certificate["restriction"]["candidates"] == 2_520
    assert sorted(allocation.frame["arm"].value_counts()) == [2] * 4
    assert verify(allocation.certificate, roster.head(8)).ok
    with pytest.raises(AllocationError, match="9 units for 4 cells.*Make the numbers even"):
        randomize(trial, roster, seed=1)
