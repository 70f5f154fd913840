"""What a fit refuses, and what it does with chains that are not to be believed."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import rct
from rct.bayesian import sampling
from rct.bayesian.compilerless import import_pymc


@pytest.fixture
def frame():
    rows = [(f"o{i}", t, (i + t) % 3, 2 + i % 2, f"s{i % 3}") for i in range(6) for t in range(1, 4)]
    return pd.DataFrame(rows, columns=["officer", "month", "force", "start", "squad"])


def panel_of(frame, **options):
    return rct.Panel.from_frame(
        frame, unit="officer", period="month", outcomes=["force"],
        **{"starts": "start", "cluster": "squad", **options},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "joined"}, r'named \'joined\'. There is "marginal"'),
        ({"priors": {"efect": {"normal": [0, 1]}}}, r"no term is named 'efect' .did you mean 'effect'."),
        ({"priors": {"effect": {"normall": [0, 1]}}}, "effect has no distribution 'normall'"),
        ({"priors": {"effect": {"normal": [0]}}}, r"effect, normal takes .mean, sd., not .0."),
        ({"priors": {"effect": {"normal": [0, -1]}}}, "sd must be above 0"),
        ({"priors": {"effect": False}}, "effect cannot be left out"),
        ({"priors": {"period": 2}}, "period = 2 is not one distribution"),
        ({"chains": 1}, "at least two are needed"),
        ({"level": 95}, "between 0 and 1"),
        ({"draws": -5}, "draws = -5: a whole number of 1 or more"),
        ({"draws": 2.5}, "draws = 2.5: a whole number"),
        ({"tune": 0}, "tune = 0: a whole number of 10 or more"),
        ({"seed": -1}, "seed = -1: a whole number of 0 or more"),
        ({"seed": 2**64}, "below 2..64"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_sampling(frame, options, message):
    with pytest.raises(rct.EstimationError, match=message):
        rct.bayesian.fit(panel_of(frame), "force", **{"seed": 1, **options})


def test_a_prior_of_a_term_that_the_panel_cannot_have_is_refused(frame):
    with pytest.raises(rct.EstimationError, match="every cluster of the panel is one unit"):
        rct.bayesian.fit(
            panel_of(frame, cluster=None), "force", seed=1, priors={"cluster_sd": {"half-normal": [0.3]}}
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"force": 0}, "no event"),
        ({"start": 0}, "no usable row is treated"),
        ({"start": 1}, "every usable row is treated"),
    ],
)
def test_data_without_an_effect_in_them_are_refused(frame, change, message):
    with pytest.raises(rct.EstimationError, match=message):
        rct.bayesian.fit(panel_of(frame.assign(**change)), "force", seed=1)


def test_fractional_counts_are_refused(frame):
    halved = frame.assign(force=frame["force"] / 2)
    with pytest.raises(rct.DataError, match="fractional values"):
        rct.bayesian.fit(panel_of(halved), "force", seed=1)
    with pytest.raises(rct.EstimationError, match="no Poisson likelihood"):
        rct.bayesian.fit(panel_of(halved, fractional=["force"]), "force", seed=1)


@pytest.mark.parametrize("names", [[], ["force", "force"]])
def test_outcomes_are_named_once_each(frame, names):
    with pytest.raises(rct.EstimationError, match="at least one outcome, and each of them once"):
        rct.bayesian.fit(panel_of(frame), names, seed=1)


def test_a_frame_is_no_panel(frame):
    with pytest.raises(rct.DataError, match="a Panel is needed, not a DataFrame"):
        rct.bayesian.fit(frame, "force", seed=1)


def drawn(shift: float, divergent: int = 0):
    """Four chains of 500 independent draws, one of them shifted."""
    import xarray as xr

    rng = np.random.default_rng(1)
    values = rng.normal(size=(4, 500))
    values[0] += shift
    diverging = np.zeros((4, 500), dtype=bool)
    diverging[0, :divergent] = True
    dims = ("chain", "draw")
    energy = rng.normal(size=(4, 500))
    return {
        "posterior": xr.Dataset({"effect": (dims, values)}),
        "sample_stats": xr.Dataset({"diverging": (dims, diverging), "energy": (dims, energy)}),
    }


@pytest.mark.parametrize(
    ("groups", "failure"),
    [(drawn(1.0), "R-hat of effect is"), (drawn(0.0, divergent=40), "40 of 2000 draws diverged")],
)
def test_chains_that_fail_are_run_again_with_smaller_steps_and_then_refused(monkeypatch, groups, failure):
    acceptances = []

    def draw(density, kept, settings, acceptance):
        acceptances.append(acceptance)
        return groups

    monkeypatch.setattr(sampling, "draw", draw)
    settings = sampling.Settings(draws=500, tune=500, chains=4, seed=1, progress=False)
    with pytest.raises(rct.ConvergenceError, match=failure):
        sampling.sample(None, ["effect"], ["effect"], settings)
    assert acceptances == list(sampling.ACCEPTANCES)


def test_too_few_draws_are_no_posterior():
    groups = drawn(0.0)
    few = {name: dataset.isel(draw=slice(0, 50)) for name, dataset in groups.items()}
    verdict = sampling.diagnose(few["posterior"], few["sample_stats"], ["effect"])
    assert not verdict["ok"]
    assert any("effective sample size of effect" in failure for failure in verdict["failures"])
    assert sampling.diagnose(groups["posterior"], groups["sample_stats"], ["effect"])["ok"]


def test_energy_that_moves_in_small_steps_is_a_failure():
    """Of a random walk with few steps E-BFMI is small; of independent energies it is about 2."""
    rng = np.random.default_rng(4)
    assert sampling.energy_fraction(rng.normal(size=(4, 2000))) == pytest.approx(2, abs=0.2)
    assert sampling.energy_fraction(rng.normal(size=(4, 2000)).cumsum(axis=1)) < 0.05
    groups = drawn(0.0)
    groups["sample_stats"]["energy"] = (("chain", "draw"), rng.normal(size=(4, 500)).cumsum(axis=1))
    verdict = sampling.diagnose(groups["posterior"], groups["sample_stats"], ["effect"])
    assert any(failure.startswith("E-BFMI is 0.0") for failure in verdict["failures"])


class ReachedError(Exception):
    """Raised where the sampler would start."""


@pytest.mark.parametrize(
    ("cluster", "options", "expected"),
    [
        (None, {}, True),
        ("squad", {}, False),
        ("squad", {"priors": {"cluster_sd": False, "cluster_period_sd": False}}, True),
        (None, {"model": "negative-binomial"}, False),
    ],
)
def test_correlations_are_learned_in_the_marginal_model_without_clusters(
    frame, monkeypatch, cluster, options, expected
):
    asked = []

    def sample(density, judged, kept, settings):
        asked.append(settings.correlated)
        raise ReachedError

    monkeypatch.setattr(sampling, "sample", sample)
    with pytest.raises(ReachedError):
        rct.bayesian.fit(panel_of(frame, cluster=cluster), "force", seed=1, **options)
    assert asked == [expected]


def test_learned_correlations_save_steps():
    """Two normal variables correlated .999: scales alone need steps as short as the ridge is narrow."""
    import nutpie

    pm = import_pymc()
    with pm.Model() as model:
        first = pm.Normal("first")
        pm.Normal("second", first, 0.045)
    compiled = nutpie.compile_pymc_model(model)
    density = SimpleNamespace(for_nutpie=lambda _: compiled, dataset=lambda drawn, kept: drawn[kept])
    steps = {}
    for correlated in (False, True):
        settings = sampling.Settings(500, 500, 2, 1, progress=False, correlated=correlated)
        groups = sampling.draw(density, ["first", "second"], settings, 0.9)
        steps[correlated] = float(groups["sample_stats"]["n_steps"].mean())
        np.testing.assert_allclose(groups["posterior"]["first"].std(), 1.0, atol=0.15)
    assert steps[True] < steps[False] / 2
