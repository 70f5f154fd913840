"""The Laplace fit: its derivatives, the reference posteriors, its speed of use on many data sets at once."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import rct
from rct.bayesian.count_rows import count_rows
from rct.bayesian.laplace_fit import mode_prior
from rct.bayesian.log_rate import outcome_totals
from rct.bayesian.marginal_mode import derivatives, find_mode, log_density, profile_totals
from rct.bayesian.priors import DEFAULTS
from rct.bayesian.totals import stack_outcomes

DATA = Path(os.environ.get("RCT_DATA", Path(rct.__file__).parents[2] / "shared" / "data"))
PRIORS = {**DEFAULTS, "cluster_sd": False, "cluster_period_sd": False, "block": False}


def frame_of(seed, *, officers=60, months=8, exposure=False, effect=-0.4, mean=-1.0):
    rng = np.random.default_rng(seed)
    starts = np.repeat([3, 5, 7], officers // 3)
    rate = rng.gamma(0.8, 1 / 0.8, officers)
    rows = []
    for i in range(officers):
        for t in range(1, months + 1):
            at_risk = 0.5 + 0.1 * (i % 4) if exposure else 1.0
            log_rate = mean + 0.1 * np.sin(t) + effect * (t >= starts[i])
            rows.append((f"o{i}", t, starts[i], at_risk, rng.poisson(rate[i] * at_risk * np.exp(log_rate))))
    return pd.DataFrame(rows, columns=["officer", "month", "start", "exposure", "force"])


def panel_of(frame, **options):
    return rct.Panel.from_frame(
        frame, unit="officer", period="month", outcomes=["force"],
        **{"starts": "start", "exposure": "exposure", **options},
    )  # fmt: skip


def totals_of(*frames):
    each = []
    for frame in frames:
        rows = count_rows(panel_of(frame), ["force"])
        each.append(outcome_totals(rows, PRIORS))
    return profile_totals(stack_outcomes(each), 1)


@pytest.mark.parametrize("exposure", [False, True])
@pytest.mark.parametrize("period", [{"zero-sum-normal": [2.0]}, {"random-walk": [0.5]}, False])
def test_gradient_and_hessian_equal_finite_differences(exposure, period):
    totals = totals_of(frame_of(1, officers=12, exposure=exposure))
    prior = mode_prior({**PRIORS, "period": period}, 8)
    at = np.random.default_rng(2).normal(-0.5, 0.4, (1, prior.periods.shape[1] + 2))
    gradient, hessian = derivatives(totals, prior, at)
    for i in range(at.shape[1]):
        move = np.zeros_like(at)
        move[0, i] = 1e-5
        ahead, behind = at + move, at - move
        slope = (log_density(totals, prior, ahead) - log_density(totals, prior, behind)) / 2e-5
        assert gradient[0, i] == pytest.approx(slope[0], rel=1e-6, abs=1e-6)
        bend = (derivatives(totals, prior, ahead)[0] - derivatives(totals, prior, behind)[0]) / 2e-5
        assert hessian[0, i] == pytest.approx(bend[0], rel=1e-5, abs=1e-5)


def test_the_density_is_that_of_the_sampled_model():
    """Differences of the log-density equal those of the PyMC model, priors and all."""
    from rct.bayesian.compilerless import import_pymc
    from rct.bayesian.fitting import MODELS, model_inputs
    from rct.bayesian.stated_in_pymc import stated

    pt = import_pymc().math.pt
    frame = frame_of(3, officers=9, months=3)
    rows = count_rows(panel_of(frame), ["force"])
    model = stated(MODELS["marginal"], model_inputs(MODELS["marginal"], rows, PRIORS))
    totals = totals_of(frame)
    exact = model.compile_logp(mode="FAST_COMPILE")
    start = model.initial_point()
    prior = mode_prior(PRIORS, 3)
    log_ratio = []
    for seed in (1, 2):
        rng = np.random.default_rng(seed)
        point = {name: value + rng.normal(0, 0.3, np.shape(value)) for name, value in start.items()}
        zero_sum = (
            model.rvs_to_transforms[model["period"]]
            .backward(pt.as_tensor_variable(point["period_zerosum__"]))
            .eval()
        )
        rates = point["intercept"] + zero_sum
        at = np.concatenate(
            [rates, np.atleast_1d(point["effect"]), np.atleast_1d(point["heterogeneity_log__"])]
        )
        log_ratio.append(log_density(totals, prior, at[None])[0] - float(exact(point)))
    assert log_ratio[0] == pytest.approx(log_ratio[1], abs=1e-8)


def test_it_meets_the_reference_posterior():
    """4 × 20,000 draws of the marginal model (nutpie): mean -.3222, sd .2128, P(effect < 0) .9358."""
    file = DATA / "officers120.csv"
    if not file.exists():
        pytest.skip(f"{file.name} is not there (RCT_DATA)")
    panel = panel_of(pd.read_csv(file), cluster="squad")
    found = rct.bayesian.laplace(
        panel, "force", priors={"intercept": {"normal": [-2, 2]}, "heterogeneity": {"gamma": [2, 2]}}
    )
    row = found.frame.iloc[0]
    assert row["estimate"] == pytest.approx(-0.32217, abs=0.1 * 0.2128)
    assert row["std_error"] == pytest.approx(0.21279, rel=0.08)
    assert row["probability_reduced"] == pytest.approx(0.935825, abs=0.018)
    assert found.pareto_k < 0.7
    assert row["warning"] == ""


def test_many_data_sets_at_once_are_the_same_as_one_by_one():
    frames = [frame_of(seed) for seed in range(6)]
    prior = mode_prior(PRIORS, 8)
    together = find_mode(totals_of(*frames), prior)
    for i, frame in enumerate(frames):
        alone = find_mode(totals_of(frame), prior)
        assert together.mean[i] == pytest.approx(alone.mean[0], abs=1e-6)
        assert together.effect_sd[i] == pytest.approx(alone.effect_sd[0], rel=1e-6)


def test_intervals_cover_the_truth_at_their_rate():
    """400 data sets with truths drawn from the prior of the effect: 90 % intervals hold 86 to 94 %."""
    rng = np.random.default_rng(11)
    truths = rng.normal(0, 0.5, 400)
    rates, starts = rng.gamma(0.8, 1 / 0.8, (400, 60)), np.repeat([3, 5, 7], 20)
    treated = np.arange(1, 9) >= starts[:, None]
    counts = rng.poisson(rates[:, :, None] * np.exp(-1.0 + truths[:, None, None] * treated))
    base = totals_of(frame_of(1))
    order = [int(np.flatnonzero((base.doses[0, 0] == treated[i]).all(axis=1))[0]) for i in (0, 20, 40)]
    by_path = np.zeros((400, 3, 8))
    by_path[:, order] = counts.reshape(400, 3, 20, 8).sum(axis=2)
    events = counts.sum(axis=2)
    batch = replace(
        base, counts=by_path, events=by_path.sum(axis=2), total=events, total_units=np.ones((400, 60)),
        doses=np.broadcast_to(base.doses, (1, 400, 3, 8)), path=np.repeat(base.path, 400, axis=0),
        exposure=np.repeat(base.exposure, 400, axis=0), units=np.repeat(base.units, 400, axis=0),
    )  # fmt: skip
    found = find_mode(batch, mode_prior(PRIORS, 8))
    inside = np.abs(found.effect[:, 0] - truths) < 1.6449 * found.effect_sd[:, 0]
    assert 0.86 < inside.mean() < 0.94


def test_a_posterior_far_from_normal_is_called_so():
    frame = frame_of(5, officers=6, months=8)
    frame["force"] = 0
    frame.loc[0, "force"] = 1
    found = rct.bayesian.laplace(panel_of(frame), "force", priors={"effect": {"normal": [0, 5]}})
    assert found.pareto_k >= 0.7
    assert "Pareto k" in found.frame["warning"].iloc[0]


def test_cluster_terms_and_randomized_clusters_are_refused():
    frame = frame_of(4).assign(squad=lambda f: "s" + (f["start"]).astype(str))
    panel = panel_of(frame, randomized="squad", cluster="squad")
    with pytest.raises(rct.EstimationError, match="the Laplace fit has no such term"):
        rct.bayesian.laplace(panel_of(frame), "force", priors={"cluster_sd": {"half-normal": [0.3]}})
    with pytest.raises(rct.EstimationError, match="3 clusters were randomized, and the Laplace fit has no"):
        rct.bayesian.laplace(panel, "force")
    assert rct.bayesian.laplace(panel_of(frame, cluster="squad"), "force").warning == ""
