"""The likelihood with integrated officer effects against quadrature."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from rct.bayesian.compilerless import import_pymc
from rct.bayesian.count_rows import CountRows
from rct.bayesian.fitting import model_inputs
from rct.bayesian.log_rate import outcome_totals
from rct.bayesian.marginal_poisson import MARGINAL, marginal_log_likelihood
from rct.bayesian.priors import complete_priors
from rct.bayesian.stated_in_pymc import stated

import_pymc()


def rows_of(counts, exposures, doses, clusters=None):
    """Rows of units × periods, one arm named T."""
    counts, exposures, doses = (np.asarray(values, dtype=float) for values in (counts, exposures, doses))
    units, periods = counts.shape
    return pd.DataFrame(
        {
            "unit": np.repeat([f"u{i}" for i in range(units)], periods),
            "period": np.tile(np.arange(1, periods + 1), units),
            "block": "b",
            "cluster": np.repeat(clusters or ["c"] * units, periods),
            "arm": "T",
            "treated": doses.ravel(),
            "exposure": exposures.ravel(),
            "count": counts.ravel(),
        }
    )


NO_CLUSTERS = {"cluster_sd": False, "cluster_period_sd": False, "block": False}


def count_rows(rows, names=("force",), clusters=("c",), arms=("T",)):
    """Rows of several outcomes as a model takes them."""
    periods = sorted({int(period) for one in rows for period in one["period"]})
    return CountRows(dict(zip(names, rows, strict=True)), list(arms), periods, list(clusters), ["b"], False)


def priors(asked=NO_CLUSTERS):
    return complete_priors(asked, terms=MARGINAL.terms, impossible={"block": "one block"})


def log_likelihood(rows, log_rate, shape):
    """Log-likelihood at a log rate given by (dose, period)."""
    totals = outcome_totals(count_rows([rows]), priors())
    eta = log_rate(totals.marks["dose_0"], np.unique(rows["period"].to_numpy()))
    tables = {name: np_constant(values) for name, values in totals.tables.items()}
    value = marginal_log_likelihood(tables, np_constant(eta), None if shape is None else np_constant([shape]))
    return value.eval(mode="FAST_COMPILE")[0]


def np_constant(values):
    import pytensor.tensor as pt

    return pt.as_tensor_variable(np.asarray(values))


def log_rate(doses, periods):
    return -1.2 + 0.1 * periods - 0.4 * doses


@pytest.mark.parametrize("shape", [0.3, 1.0, 4.5])
@pytest.mark.parametrize("counts", [[0, 0, 0], [2, 0, 1], [9, 4, 7]])
def test_an_officers_likelihood_equals_the_integral_over_his_rate(shape, counts):
    exposure, dose = [1.0, 0.4, 2.0], [0.0, 1.0, 1.0]
    mean = np.array(exposure) * np.exp(log_rate(np.array(dose), np.array([1, 2, 3])))

    def integrand(log_u):
        u = np.exp(log_u)
        return stats.poisson.pmf(counts, u * mean).prod() * stats.gamma.pdf(u, shape, scale=1 / shape) * u

    integral = sum(
        integrate.quad(integrand, low, high, epsabs=0, epsrel=1e-12, limit=500)[0]
        for low, high in itertools.pairwise([-120, -30, -10, -3, 0, 1, 6])
    )
    found = log_likelihood(rows_of([counts], [exposure], [dose]), log_rate, shape)
    assert np.exp(found) == pytest.approx(integral, rel=1e-9)


def test_totals_give_the_likelihood_of_all_officers_one_by_one():
    rng = np.random.default_rng(5)
    doses = np.array([[0, 0, 1, 1], [0, 1, 1, 1]])[np.arange(12) % 2]
    exposures = np.where(rng.random((12, 4)) < 0.5, 1.0, 0.5)
    rows = rows_of(rng.poisson(1.0, (12, 4)), exposures, doses)
    each = sum(log_likelihood(one, log_rate, 0.7) for _, one in rows.groupby("unit"))
    assert log_likelihood(rows, log_rate, 0.7) == pytest.approx(each, rel=1e-12)


def test_without_officer_effects_it_is_the_poisson_likelihood():
    rows = rows_of([[0, 2, 1], [3, 0, 0]], [[1, 1, 1], [1, 0.5, 2]], [[0, 0, 1], [0, 1, 1]])
    mean = rows["exposure"] * np.exp(log_rate(rows["treated"], rows["period"]))
    expected = stats.poisson.logpmf(rows["count"], mean).sum()
    assert log_likelihood(rows, log_rate, None) == pytest.approx(expected, rel=1e-12)


def test_officers_alike_in_path_and_exposure_share_a_profile():
    counts = np.random.default_rng(1).poisson(1, (500, 4))
    doses = np.array([[0, 0, 1, 1], [0, 1, 1, 1]])[np.arange(500) % 2]
    totals = outcome_totals(count_rows([rows_of(counts, np.ones((500, 4)), doses)]), priors())
    assert totals.counts.shape == (1, 2, 4)
    assert totals.exposure.shape == (1, 2, 1, 4)
    assert totals.path.tolist() == [[0, 1]]
    assert totals.units.sum() == 500


def test_missing_periods_are_periods_without_exposure():
    rows = rows_of([[1, 2, 0], [0, 1, 1]], np.ones((2, 3)), [[0, 1, 1], [0, 0, 1]])
    kept = rows.drop(index=1)
    each = sum(log_likelihood(one, log_rate, 0.7) for _, one in kept.groupby("unit"))
    assert log_likelihood(kept, log_rate, 0.7) == pytest.approx(each, rel=1e-12)


def test_outcomes_and_clusters_are_independent_blocks():
    """The log-density of two outcomes in one model is the sum of their own."""
    rng = np.random.default_rng(2)
    clusters = ["a", "b", "a", "b", "b"]
    doses = np.array([[0, 1, 1], [0, 0, 1]])[[0, 1, 0, 1, 1]]
    rows = [
        rows_of(rng.poisson(1.5, (5, 3)), np.ones((5, 3)), doses, clusters),
        rows_of(rng.poisson(0.5, (5, 3)), rng.uniform(0.5, 1, (5, 3)), doses, clusters).drop(index=[3]),
    ]
    names = ["force", "injury"]
    whole, *alone = (
        stated(MARGINAL, model_inputs(MARGINAL, one, priors({})))
        for one in (
            count_rows(rows, names, ["a", "b"]),
            *(count_rows([each], [name], ["a", "b"]) for each, name in zip(rows, names, strict=True)),
        )
    )
    assert whole.named_vars_to_dims["effect"] == ("outcome",)
    assert whole.named_vars_to_dims["cluster_period"] == ("outcome", "cluster_name", "period_number")
    start = alone[0].initial_point()
    points = [{name: value + 0.1 * k * np.cos(np.arange(value.size)).reshape(value.shape)
               for name, value in start.items()} for k in (1, 2)]  # fmt: skip
    both = {name: np.stack([point[name] for point in points]) for name in start}
    separate = sum(
        model.compile_logp(mode="FAST_COMPILE")(point) for model, point in zip(alone, points, strict=True)
    )
    assert whole.compile_logp(mode="FAST_COMPILE")(both) == pytest.approx(float(separate), rel=1e-10)


def test_each_arm_has_its_own_effect():
    rows = rows_of([[1, 2], [0, 1], [2, 2]], np.ones((3, 2)), [[0, 1], [0, 1], [0, 0.5]])
    rows["arm"] = ["A", "A", "B", "B", "B", "B"]
    counted = count_rows([rows], arms=("A", "B"))
    totals = outcome_totals(counted, priors())
    doses = [sorted(map(tuple, totals.marks[f"dose_{arm}"][0])) for arm in (0, 1)]
    assert doses == [[(0, 0), (0, 0), (0, 1)], [(0, 0), (0, 0.5), (0, 1)]]
    model = stated(MARGINAL, model_inputs(MARGINAL, counted, priors()))
    assert model.named_vars_to_dims["effect"] == ("arm",)
    assert "cluster_sd" not in model.named_vars
