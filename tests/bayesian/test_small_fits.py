"""Fits of a model of two parameters, compiled once: against its grid, and broken on purpose."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import rct

PRIORS = {
    "effect": {"normal": [0, 0.5]}, "intercept": {"normal": [0, 1]}, "period": False, "heterogeneity": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def frame():
    """Six officers, four periods."""
    counts = [[3, 2, 1, 0], [2, 4, 1, 1], [1, 3, 0, 2], [4, 2, 3, 1], [2, 3, 2, 2], [3, 1, 4, 0]]
    starts = [3, 3, 3, 4, 4, 4]
    return pd.DataFrame(
        [(f"o{i}", t, counts[i][t - 1], starts[i]) for i in range(6) for t in range(1, 5)],
        columns=["officer", "month", "force", "start"],
    )


def fit(frame, *, priors=PRIORS, **options):
    panel = rct.Panel.from_frame(frame, unit="officer", period="month", outcomes=["force"], starts="start")
    return rct.bayesian.fit(panel, "force", priors=priors, seed=3, **options)


def grid(frame):
    """The effect, and its posterior probability where the intercept is summed out."""
    intercept, effect = np.linspace(-7, 3, 1601)[:, None], np.linspace(-3, 3, 1201)[None, :]
    treated = frame["month"] >= frame["start"]
    events = frame["force"].groupby(treated).sum()
    cells = frame["force"].groupby(treated).size()
    log_density = (
        events.sum() * intercept + events[True] * effect
        - cells[False] * np.exp(intercept) - cells[True] * np.exp(intercept + effect)
        + stats.norm.logpdf(effect, 0, 0.5) + stats.norm.logpdf(intercept, 0, 1)
    )  # fmt: skip
    weight = np.exp(log_density - log_density.max()).sum(axis=0)
    return effect[0], weight / weight.sum()


def assert_posterior_is_the_grids(posterior, frame):
    effect, weight = grid(frame)
    row = posterior.frame.iloc[0]
    mean = float((weight * effect).sum())
    sd = float(np.sqrt((weight * (effect - mean) ** 2).sum()))
    assert row["estimate"] == pytest.approx(mean, abs=0.1 * sd)
    assert row["std_error"] == pytest.approx(sd, rel=0.08)
    assert row["probability_reduced"] == pytest.approx(weight[effect < 0].sum(), abs=0.02)
    assert posterior.probability("force", below=0.8) == pytest.approx(
        weight[effect < np.log(0.8)].sum(), abs=0.02
    )


def test_the_posterior_of_a_two_parameter_model_equals_its_grid(frame):
    posterior = fit(frame)
    assert_posterior_is_the_grids(posterior, frame)
    assert fit(frame) == posterior, "equal seeds give equal draws"
    assert replace(posterior, level=0.5).frame["conf_low"].iloc[0] > posterior.frame["conf_low"].iloc[0]


def test_five_draws_are_refused(frame):
    with pytest.raises(rct.ConvergenceError, match="effective sample size of effect is .*, below 400"):
        fit(frame, draws=5, tune=10)


def test_one_event_in_all_is_flagged(frame):
    """After a fit of other data in the same process, which must not be the one that is reported."""
    fit(frame)
    one = frame.assign(force=np.where((frame["officer"] == "o3") & (frame["month"] == 3), 1, 0))
    posterior = fit(one)
    assert posterior.frame["warning"].item() == (
        "1 event in all: the effect is little more than its prior; no event in treated rows: how large a "
        "reduction may be is known to the prior alone"
    )
    assert_posterior_is_the_grids(posterior, one)


def test_data_against_the_prior_are_flagged(frame):
    """A prior that is sure of a fall by two thirds, and data in which nothing fell."""
    steady = frame.assign(force=9)
    posterior = fit(steady, priors=PRIORS | {"effect": {"normal": [-1.1, 0.05]}})
    assert "prior and data disagree" in posterior.frame["warning"].item()
    assert "disagree" not in fit(frame).frame["warning"].item()
