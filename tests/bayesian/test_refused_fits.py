"""Fits that are broken on purpose: refused, or flagged in words."""

import numpy as np
import pandas as pd
import pytest

import rct


@pytest.fixture(scope="module")
def frame():
    rows = [(f"o{i:02d}", t, 3 + i % 4, (i * 7 + t * 3) % 4) for i in range(24) for t in range(1, 8)]
    return pd.DataFrame(rows, columns=["officer", "month", "start", "force"])


def fit(frame, **options):
    panel = rct.Panel.from_frame(frame, unit="officer", period="month", outcomes=["force"], starts="start")
    return rct.bayesian.fit(panel, "force", seed=1, **options)


def test_five_draws_are_refused(frame):
    with pytest.raises(rct.ConvergenceError, match="effective sample size of effect is .*, below 400"):
        fit(frame, draws=5, tune=5)


def test_one_event_in_all_is_flagged(frame):
    """After a fit of other data in the same process, which must not be the one that is reported."""
    other = fit(frame).frame["std_error"].item()
    one = frame.assign(force=np.where((frame["officer"] == "o03") & (frame["month"] == 4), 1, 0))
    posterior = fit(one)
    assert posterior.frame["warning"].item() == "1 event in all: the effect is little more than its prior"
    assert other < 0.3
    assert posterior.frame["std_error"].item() > 0.4


def test_data_against_the_prior_are_flagged(frame):
    """A prior that is sure of a fall by two thirds, and data in which nothing fell."""
    posterior = fit(frame.assign(force=3 * frame["force"]), priors={"effect": {"normal": [-1.1, 0.05]}})
    assert "prior and data disagree" in posterior.frame["warning"].item()
    assert "disagree" not in fit(frame).frame["warning"].item()
