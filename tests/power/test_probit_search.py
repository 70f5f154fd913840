"""The search finds roots that are known exactly, within the error it states."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from rct.power.probit_search import Look, probit_root


def noisy(seed, power):
    rng = np.random.default_rng(seed)
    return lambda x, sims: Look(x, int(rng.binomial(sims, power(x))), sims)


def normal_test(x):
    return norm.sf(1.96 - 3 * x) + norm.cdf(-1.96 - 3 * x)


TRUE = (1.96 + norm.ppf(0.8)) / 3
OPTIONS = {"target": 0.8, "start": 0.3, "largest": 4.0, "smallest": 0.01, "precision": 0.05, "most": 20_000}


def test_its_interval_holds_the_root_as_often_as_it_says():
    roots = [probit_root(noisy(seed, normal_test), **OPTIONS) for seed in range(200)]
    held = np.mean([root.low <= TRUE <= root.high for root in roots])
    assert held > 0.95 - 3.5 * (0.05 * 0.95 / 200) ** 0.5
    assert np.mean([root.x for root in roots]) == pytest.approx(TRUE, rel=0.01)


def test_it_stops_when_the_asked_precision_is_reached_and_not_long_after():
    loose, tight = (
        [probit_root(noisy(seed, normal_test), **(OPTIONS | {"precision": p})) for seed in range(30)]
        for p in (0.1, 0.025)
    )
    for roots, precision in ((loose, 0.1), (tight, 0.025)):
        assert all(root.high - root.x <= precision * root.x * 1.0001 for root in roots)
    assert np.mean([root.sims for root in tight]) > 2.5 * np.mean([root.sims for root in loose])


def test_it_ends_with_the_error_it_has_when_replicates_run_out():
    root = probit_root(noisy(1, normal_test), **(OPTIONS | {"most": 256, "precision": 0.001}))
    assert root.sims <= 256
    assert root.high - root.x > 0.001 * root.x


@pytest.mark.parametrize("limit", [0.3, 0.7, 0.74])
@pytest.mark.parametrize("seed", range(5))
def test_a_power_that_is_never_reached_has_no_root(limit, seed):
    """Power rises to a limit below the target of .8; in the last case three errors of thousands of looks."""
    assert probit_root(noisy(seed, lambda x: 0.02 + (limit - 0.02) * -math.expm1(-2 * x)), **OPTIONS) is None


def test_a_power_that_is_reached_everywhere_has_its_root_at_the_smallest_distance():
    root = probit_root(noisy(1, lambda _: 0.99), **OPTIONS)
    assert root.x == pytest.approx(0.01)


def test_looks_that_are_known_are_not_taken_again():
    known = tuple(Look(x, round(100_000 * normal_test(x)), 100_000) for x in (TRUE - 0.05, TRUE + 0.05))
    root = probit_root(lambda _x, _sims: pytest.fail("looked"), **OPTIONS, known=known)
    assert root.x == pytest.approx(TRUE, abs=0.002)
    assert math.isclose(root.look.x, TRUE, abs_tol=0.06)
