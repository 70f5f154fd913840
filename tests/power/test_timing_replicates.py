"""Power of designs with many randomized units: the batch forms equal the estimators on a panel."""

import numpy as np
import pytest

import rct
from rct import power
from rct.power.poisson_replicates import PoissonPromise
from rct.power.replicates import Replicates
from rct.power.timing_replicates import TimingPromise
from rct.simulation import synthetic_roster

TEXT = """
format = 1
name = "Classes"
[units]
randomize = "officer_id"
measure = "officer"
id = "officer_id"
[arms]
control = "untrained"
treatments = ["ICAT"]
[schedule]
kind = "staggered"
period = "month"
periods = 12
starts = [4, 6, 9]
sizes = [20, 20, 10]
never = true
[[outcomes]]
name = "force"
primary = true
[analysis]
primary = { estimator = "staggered", aggregate = "simple" }
secondary = [{ estimator = "poisson", inference = "cluster-robust" }]
[power]
effects = { force = 0.5 }
rates = { force = 0.4 }
units = 60
heterogeneity = 2.0
"""
TRIAL = rct.Trial.parse(TEXT)


@pytest.fixture(scope="module")
def replicate():
    roster = synthetic_roster(TRIAL)
    allocation = rct.randomize(TRIAL, roster, seed="classes")
    panel = rct.simulate(TRIAL, allocation, seed=4)
    counts = panel.frame["force"].to_numpy().reshape(1, 60, 12).astype(np.int32)
    doses = allocation.sequences.pivot(index="sequence", columns="period", values="dose").to_numpy()
    batch = Replicates(
        counts=counts, assigned=allocation.frame["sequence"].to_numpy()[None].astype(np.int16),
        sizes=np.ones(60), blocks=np.zeros(60, dtype=np.int64), doses=doses,
        probabilities=allocation.probabilities.to_numpy(), redraws=None, exact=False, ratio=0.5,
        untreated_rate=np.full(12, 0.4),
    )  # fmt: skip
    return panel, batch


@pytest.mark.parametrize("estimator", ["efficient", "callaway-santanna", "sun-abraham", "difference"])
def test_randomized_timing_in_batch_is_the_estimator_on_the_panel(replicate, estimator):
    panel, batch = replicate
    row = TimingPromise("t", estimator, "simple").analyse(batch, alpha=0.05, only_p=False).iloc[0]
    single = rct.frequentist.staggered(panel, "force", estimator=estimator)
    assert row["estimate"] == pytest.approx(single.estimate, rel=1e-12)
    assert row["std_error"] == pytest.approx(single.std_error, rel=1e-12)
    assert row["p_value"] == pytest.approx(single.p_value, rel=1e-9)
    assert row["truth"] == pytest.approx(0.4 * -0.5)


def test_many_clusters_in_batch_are_the_estimator_on_the_panel(replicate):
    panel, batch = replicate
    row = PoissonPromise("p", None, rerandomizes=False).analyse(batch, alpha=0.05, only_p=False).iloc[0]
    single = rct.frequentist.poisson(panel, "force")
    assert "CR1" in single.inference
    assert row["estimate"] == pytest.approx(single.estimate, rel=1e-10)
    assert row["std_error"] == pytest.approx(single.std_error, rel=1e-9)
    assert row["p_value"] == pytest.approx(single.p_value, rel=1e-7)


def test_where_the_trial_re_randomizes_the_p_value_is_the_permutation_test_s(replicate):
    panel, batch = replicate
    promise = TimingPromise("t", "efficient", "simple", permutations=99, seed=5)
    row = promise.analyse(batch, alpha=0.05, only_p=False).iloc[0]
    single = rct.frequentist.staggered(panel, "force", permutations=99, seed=5)
    assert row["p_value"] == single.p_value
    assert row["p_value"] != pytest.approx(single.notes["p_normal"])


def test_both_promises_find_a_strong_effect():
    frame = power.simulate(TRIAL, effects={"force": 0.2}, sims=16, draws=99, seed=1).frame
    assert set(frame["analysis"]) == {"staggered simple", "poisson (cluster-robust)"}
    assert (frame["power"] > 0.8).all()


def test_a_cohort_of_one_has_no_variance():
    alone = rct.Trial.parse(TEXT.replace("sizes = [20, 20, 10]", "sizes = [20, 1, 10]"))
    with pytest.raises(rct.TrialError, match="cohorts of one randomized unit have no variance"):
        power.simulate(alone, sims=2, seed=1)
