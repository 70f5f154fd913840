"""An option that no estimator knows is refused by its name, never read as some default."""

import numpy as np
import pandas as pd
import pytest

import rct
from rct import frequentist as f
from rct.errors import DataError, EstimationError

PANEL = rct.Panel.from_frame(
    pd.DataFrame(
        {
            "unit": np.repeat([f"{u:02d}" for u in range(24)], 6),
            "period": np.tile(np.arange(1, 7), 24),
            "start": np.repeat(np.array([3, 5, 0])[np.arange(24) % 3], 6),
            "force": np.random.default_rng(3).poisson(2, 144),
            "age": np.random.default_rng(4).normal(size=144),
        }
    ),
    unit="unit",
    period="period",
    outcomes=["force"],
    starts="start",
    covariates=["age"],
)
NAMED = [f.poisson, f.linear, f.gee, f.negative_binomial, f.exposure_curve, f.wild_bootstrap]


def asked(function, **options):
    return lambda: function(PANEL, "force", **options)


def of_estimate(function, **options):
    return lambda: function(f.poisson(PANEL, "force"), **options)


REFUSED = {
    "poisson correction": (asked(f.poisson, correction="HC1"), 'correction must be one of "auto", "CR0"'),
    "two-way correction": (asked(f.poisson, cluster=("unit", "period"), correction="HC1"), "correction must"),
    "linear correction": (asked(f.linear, correction="cr2"), 'correction must be one of "auto", "debiased"'),
    "differences": (asked(f.first_differences, correction="model"), "correction must be one of"),
    "gee correction": (asked(f.gee, correction="CR2"), 'correction must be one of None, "auto"'),
    "gee correlation": (asked(f.gee, correlation="unstructured"), "correlation must be one of"),
    "trends": (asked(f.poisson, trends="both"), 'trends must be one of None, "unit", "cluster"'),
    "quadrature": (asked(f.poisson, random_effects="normal", quadrature=2.5), "quadrature must be a whole"),
    "effect": (asked(f.wild_bootstrap, effect="fading", seed=1), "effect must be one of"),
    "window of a constant": (asked(f.wild_bootstrap, average=(1, 2), seed=1), "average is a mean over"),
    "one number": (asked(f.poisson, effect="exposure-time", average=3), "average is a first and a last"),
    "half a period": (asked(f.exposure_curve, average=(1.5, 3)), "average is a first and a last"),
    "random effects": (asked(f.negative_binomial, random_effects="beta"), "random_effects must be one of"),
    "weights of means": (asked(f.difference_in_means, weights="equal"), "weights must be one of None"),
    "adjustment": (asked(f.difference_in_means, covariates=["age"], adjust="Lin"), "adjust must be one of"),
    "permutations": (asked(f.staggered, permutations=-5, seed=1), "permutations must be a whole number"),
    "pretrend permutations": (asked(f.pretrend_test, permutations=9.5, seed=1), "permutations must be a"),
    "event times": (asked(f.staggered, aggregate="event", event_times=0), "event_times is a list of whole"),
    "no event times": (asked(f.staggered, aggregate="event", event_times=[]), "event_times is a list of"),
    "half a refresher": (
        asked(f.exposure_curve, refreshers=[2.5]),
        "refreshers must be ascending exposure times, whole",
    ),
    "baseline": (asked(f.staggered, baseline=3), "baseline is a first and a last"),
    "draws": (asked(f.wild_bootstrap, draws=99.5, seed=1), "draws must be a positive number"),
    "seed": (asked(f.wild_bootstrap, seed="draw 7"), "seed must be a whole number from 0 on, not 'draw 7'"),
    "seed of timing": (asked(f.staggered, permutations=9, seed=-1), "seed must be a whole number"),
    "level": (asked(f.poisson, level="95"), "level must lie between 0 and 1, not '95'"),
    "adjust method": (
        lambda: f.adjust(rct.Estimates((f.poisson(PANEL, "force"),)), method="bonferroni"),
        'method must be one of "holm", "westfall-young"',
    ),
    "margin of three": (of_estimate(f.equivalence, margin=(0.8, 1, 1.2)), "margin is one number or two"),
    "margin of text": (of_estimate(f.equivalence, margin="0.9"), "margin is one number or two"),
    "several estimates": (
        lambda: f.equivalence(rct.Estimates((f.poisson(PANEL, "force"),)), margin=0.9),
        "equivalence is of one Estimate, not of Estimates",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_estimator_knows_is_refused(name):
    call, message = REFUSED[name]
    with pytest.raises(EstimationError, match=message):
        call()


@pytest.mark.parametrize("function", NAMED)
def test_a_lone_name_is_not_read_letter_by_letter_and_none_counts_twice(function):
    for option in ("covariates", "fixed_effects"):
        with pytest.raises(EstimationError, match=rf'{option} is a list of names: give {option}=\["age"\]'):
            function(PANEL, "force", **{option: "age"})
        with pytest.raises(EstimationError, match=f"{option} names age twice"):
            function(PANEL, "force", **{option: ["age", "age"]})


@pytest.mark.parametrize("function", [*NAMED, f.two_way_weights, f.staggered, f.pretrend_test])
def test_an_outcome_that_the_panel_lacks_is_named(function):
    with pytest.raises(DataError, match="the panel holds no outcome 'injury'; it holds force"):
        function(PANEL, "injury")


@pytest.mark.parametrize(
    "function", [f.poisson, f.linear, f.first_differences, f.gee, f.negative_binomial, f.exposure_curve]
)
def test_a_covariate_far_from_zero_is_no_constant(function):
    """A date written as one number varies by little of its size; estimates do not depend on its origin."""
    shifted = rct.Panel(
        PANEL.frame.assign(age=PANEL.frame["age"] + 2.0**26), ("force",), covariates=("age",), meta=PANEL.meta
    )
    here, there = (function(own, "force", covariates=["age"]).frame for own in (PANEL, shifted))
    np.testing.assert_allclose(here["estimate"], there["estimate"], rtol=1e-5)
    np.testing.assert_allclose(here["std_error"], there["std_error"], rtol=1e-5)
    assert function(PANEL, "force").frame["estimate"][0] != pytest.approx(here["estimate"][0], rel=1e-5)


def test_margins_may_be_a_list_as_a_trial_file_has_them():
    estimate = f.poisson(PANEL, "force")
    assert f.equivalence(estimate, margin=[0.5, 2]).low == f.equivalence(estimate, margin=0.5).low


def test_an_estimate_without_an_interval_excludes_nothing_at_any_level():
    rng = np.random.default_rng(1)
    starts = PANEL.frame.groupby("randomized")["starts"].first().to_numpy()
    draws = np.stack([rng.permutation(starts) for _ in range(99)])
    test = f.randomization_test(PANEL, "force", allocation=draws, statistic="difference")
    with pytest.raises(EstimationError, match="has no interval .randomization test"):
        f.equivalence(test, margin=0.1)
    inverted = f.randomization_test(PANEL, "force", allocation=draws, level=0.9)
    excluded = f.equivalence(inverted, margin=(0.2, 5.0))
    assert (excluded.conf_low, excluded.conf_high) == (inverted.conf_low, inverted.conf_high)
    assert np.isnan(excluded.p_value)
