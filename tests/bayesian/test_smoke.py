"""One small fit, from panel to draws on disk, on whatever versions of PyMC and ArviZ are installed."""

import numpy as np
import pandas as pd
import pytest

import rct


@pytest.fixture(scope="module")
def panel():
    """Forty officers of four squads, six months, the rate halved by training."""
    rng = np.random.default_rng(11)
    officers = pd.DataFrame({"officer": [f"o{i:02d}" for i in range(80)]})
    officers["squad"] = [f"s{i % 8}" for i in range(80)]
    officers["start"] = [3 + i % 4 for i in range(80)]
    frame = officers.merge(pd.DataFrame({"month": range(1, 7)}), how="cross")
    trained = frame["month"] >= frame["start"]
    talent = dict(zip(officers["officer"], rng.gamma(2, 0.5, len(officers)), strict=True))
    frame["force"] = rng.poisson(frame["officer"].map(talent) * np.where(trained, 0.5, 1.0))
    return rct.Panel.from_frame(
        frame, unit="officer", period="month", outcomes=["force"], starts="start", cluster="squad"
    )


@pytest.fixture(scope="module")
def posterior(panel):
    return rct.bayesian.fit(panel, "force", seed=1)


def test_the_fit_finds_the_reduction_it_was_given(posterior):
    row = posterior.frame.iloc[0]
    assert row["conf_low"] < np.log(0.5) < row["conf_high"]
    assert row["probability_reduced"] > 0.95
    assert row["p_value"] != row["p_value"]
    assert row["std_error"] < 0.4


def test_the_chains_are_judged(posterior):
    assert posterior.diagnostics["ok"]
    assert posterior.diagnostics["rhat"]["effect"] < 1.01
    assert min(posterior.diagnostics[size]["effect"] for size in ("ess_bulk", "ess_tail")) >= 400


def test_the_variables_bear_the_names_of_their_priors(posterior):
    terms = {"effect", "intercept", "period", "heterogeneity", "cluster_sd", "cluster_period_sd"}
    assert terms <= set(posterior.idata["posterior"].data_vars)
    assert posterior.idata["posterior"]["effect"].shape == (4, 1000)


def test_the_frame_has_the_columns_of_an_estimate(posterior):
    from rct.estimates import COLUMNS

    assert tuple(posterior.frame.columns) == COLUMNS


def test_a_written_fit_reads_back_equal(posterior, tmp_path):
    again = rct.Posterior.read(posterior.write(tmp_path / "fit"))
    assert again == posterior
    pd.testing.assert_frame_equal(again.frame, posterior.frame)
    assert again.idata["posterior"]["effect"].shape == (4, 1000)
