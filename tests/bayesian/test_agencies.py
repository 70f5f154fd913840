"""Agencies: the integrals against quadrature nobody here wrote, and what a fit says of each agency."""

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

import rct
from rct.bayesian.agency_likelihood import (
    agency_tables,
    common_change,
    count_agencies,
    draw_changes,
    log_likelihood,
)


def rows_of(counts, starts):
    counts = np.asarray(counts)
    units, periods = counts.shape
    period = np.tile(np.arange(1, periods + 1), units)
    return pd.DataFrame(
        {
            "unit": np.repeat([f"agency {i:03d}" for i in range(units)], periods),
            "period": period,
            "treated": ((np.repeat(starts, periods) > 0) & (period >= np.repeat(starts, periods))).astype(
                float
            ),
            "exposure": 1.0 + 0.5 * np.repeat(np.arange(units) % 2, periods),
            "count": counts.ravel().astype(float),
        }
    )


def tables_of(rows):
    return agency_tables(count_agencies(rows, np.arange(1, 7)))


ETA = np.array([0.1, -0.2, 0.0, 0.3, -0.1, 0.2])


@pytest.mark.parametrize("sd", [0.05, 0.4, 1.5])
@pytest.mark.parametrize(
    "counts", [[0, 0, 0, 0, 0, 0], [9, 12, 8, 0, 0, 0], [0, 0, 1, 0, 4, 2], [90, 130, 80, 210, 160, 220]]
)
def test_an_agencys_likelihood_equals_the_integral_over_its_rate_and_its_change(counts, sd):
    rows = rows_of([counts], [4])
    phi, effect = 0.6, -0.3
    found = float(log_likelihood(tables_of(rows), constant(ETA), effect, sd, phi).eval(mode="FAST_COMPILE"))
    before, after = np.exp(ETA[:3]).sum(), np.exp(ETA[3:]).sum()
    events, later = sum(counts), sum(counts[3:])

    def given(change):
        mean = before + np.exp(change) * after
        # The gamma integral is the negative binomial of the total times the multinomial of the rest.
        return stats.nbinom.logpmf(events, phi, phi / (phi + mean)) + later * change - events * np.log(mean)

    def log_density(x):
        return given(x) + stats.norm.logpdf(x, effect, sd)

    peak = log_density(np.linspace(-8, 8, 3201)).max()
    integral = sum(
        integrate.fixed_quad(lambda x: np.exp(log_density(x) - peak), low, low + 0.25, n=20)[0]
        for low in np.arange(-10, 10, 0.25)
    )
    expected = peak + np.log(integral) + np.dot(counts, ETA) + sum(np.log(np.arange(1, events + 1)))
    assert found == pytest.approx(expected, abs=1e-6)


def constant(values):
    from rct.bayesian.compilerless import import_pymc

    import_pymc()
    import pytensor.tensor as pt

    return pt.as_tensor_variable(np.asarray(values, dtype=float))


def test_agencies_add_up_whatever_they_share():
    rng = np.random.default_rng(3)
    rows = rows_of(rng.poisson(1.0, (6, 6)), [0, 3, 5, 5, 0, 3])
    together = log_likelihood(tables_of(rows), constant(ETA), -0.2, 0.3, 0.8).eval(mode="FAST_COMPILE")
    each = sum(
        log_likelihood(tables_of(one), constant(ETA), -0.2, 0.3, 0.8).eval(mode="FAST_COMPILE")
        for _, one in rows.groupby("unit")
    )
    assert together == pytest.approx(each, rel=1e-12)


@pytest.mark.parametrize("counts", [[0, 0, 0, 0, 0, 0], [1, 3, 2, 0, 1, 0], [90, 130, 80, 210, 160, 220]])
def test_drawn_changes_follow_their_conditional(counts):
    """20,000 draws against the conditional's distribution function: Kolmogorov's distance."""
    rows, size, phi, effect, sd = rows_of([counts], [4]), 20_000, 0.6, -0.3, 0.4
    drawn = draw_changes(
        count_agencies(rows, np.arange(1, 7)), np.tile(ETA, (size, 1)), np.full(size, effect),
        np.full(size, sd), np.full(size, phi), np.random.default_rng(1),
    )[:, 0]  # fmt: skip
    x = np.linspace(-5, 5, 200_001)
    before, after = np.exp(ETA[:3]).sum(), np.exp(ETA[3:]).sum()
    log_density = (
        sum(counts[3:]) * x - (phi + sum(counts)) * np.log(phi + before + np.exp(x) * after)
        + stats.norm.logpdf(x, effect, sd)
    )  # fmt: skip
    below = np.cumsum(np.exp(log_density - log_density.max()))
    distance = stats.kstest(drawn, lambda at: np.interp(at, x, below / below[-1])).statistic
    assert distance < 1.63 / np.sqrt(size), "1 % point"


def panel_of(counts, starts):
    rows = rows_of(counts, starts).assign(start=np.repeat(starts, np.shape(counts)[1]))
    return rct.Panel.from_frame(
        rows.rename(columns={"count": "force"}), unit="unit", period="period", outcomes=["force"],
        starts="start", exposure="exposure",
    )  # fmt: skip


def test_a_staggered_reform_shows_the_mean_effect_and_each_agencys():
    rng = np.random.default_rng(8)
    starts = rng.choice([0, 5, 8], 150)
    change, rate = rng.normal(-0.4, 0.3, 150), rng.gamma(0.8, 10 / 0.8, 150)
    treated = (starts[:, None] > 0) & (np.arange(1, 13) >= starts[:, None])
    exposure = 1.0 + 0.5 * (np.arange(150) % 2)
    counts = rng.poisson((rate * exposure)[:, None] * np.exp(change[:, None] * treated))
    panel = panel_of(counts, starts)
    posterior = rct.bayesian.fit(panel, ["force"], model="agencies", chains=2, seed=4)
    checks = rct.bayesian.check_fit(posterior, panel).checks["force"]
    assert min(figure["tail"] for figure in checks["predictive"]) > 0.01, "data of the model pass its checks"
    row = posterior.frame.iloc[0]
    assert abs(row["estimate"] + 0.4) < 3 * row["std_error"]
    assert row["std_error"] < 0.08
    sd = posterior.groups["posterior"]["agency_sd"].to_numpy()
    assert np.quantile(sd, 0.005) < 0.3 < np.quantile(sd, 0.995)
    table = rct.bayesian.agency_table(posterior).iloc[np.flatnonzero(starts > 0)]
    truth = 100 * np.expm1(change[starts > 0])
    inside = (table["percent_low"] < truth) & (truth < table["percent_high"])
    assert 0.87 < inside.mean() <= 1, "95 % intervals of about 100 agencies"
    busy = table["events_before"] > table["events_before"].median()
    assert table.loc[busy, "shrinkage"].mean() < table.loc[~busy, "shrinkage"].mean()
    assert set(table["verdict"]) >= {"fell", "cannot tell"}
    sure = table["verdict"] == "fell"
    assert (table.loc[sure, "percent_high"] < 0).all()
    assert table.loc[~sure, "words"].str.startswith(("cannot tell: anything from", "rose")).all()
    assert list(table["agency"]) == sorted(table["agency"]), "no ranking"
    assert row["warning"] == ""


def test_a_reform_everywhere_at_once_is_a_change_and_no_effect():
    counts = np.random.default_rng(9).poisson(6.0, (30, 6))
    panel = panel_of(counts, np.full(30, 4))
    with pytest.raises(rct.EstimationError, match="effect has a prior, but every agency starts"):
        rct.bayesian.agencies(panel, "force", seed=4, priors={"effect": {"normal": [0, 1]}})
    at_once = count_agencies(rows_of(counts, np.full(30, 4)), np.arange(1, 7))
    assert not at_once.controlled
    assert count_agencies(rows_of(counts, np.repeat([3, 4], 15)), np.arange(1, 7)).controlled
    for start in (3, 4):  # halves of unequal length, and equal ones
        tables = tables_of(rows_of(counts, np.full(30, start)))
        before, after = np.split(np.exp(ETA), [start - 1])
        assert common_change(tables, ETA, np) == pytest.approx(np.log(after.mean() / before.mean()))


def test_what_the_model_cannot_hold_is_refused():
    starts = np.repeat([0, 4, 5], 10)
    rows = rows_of(np.full((30, 6), 2), starts).rename(columns={"count": "force"})
    rows = rows.assign(start=np.repeat(starts, 6), early=np.repeat(np.where(starts == 4, "a", "b"), 6))

    def fit(outcomes=("force",), priors=None, **columns):
        panel = rct.Panel.from_frame(
            rows, unit="unit", period="period", outcomes=["force"], starts="start", **columns
        )
        rct.bayesian.fit(panel, outcomes, model="agencies", priors=priors, seed=1)

    with pytest.raises(rct.EstimationError, match="one outcome at a time, not 2"):
        fit(["force", "injury"])
    with pytest.raises(rct.EstimationError, match="30 units were randomized together in 3 clusters"):
        fit(randomized="start", cluster="start")
    with pytest.raises(rct.EstimationError, match="differs between blocks"):
        fit(block="early")
    for term in ("period", "heterogeneity"):
        with pytest.raises(rct.EstimationError, match=f"{term} cannot be left out of the model .agencies."):
            fit(priors={term: False})


def test_a_random_walk_of_the_periods_is_one():
    """A prior named random-walk was taken as a zero-sum normal one."""
    from rct.bayesian.agency_fit import AGENCIES
    from rct.bayesian.model_inputs import Inputs, prior_tables
    from rct.bayesian.priors import complete_priors
    from rct.bayesian.stated_in_pymc import stated

    rows = rows_of(np.full((4, 6), 2), [0, 3, 4, 0])
    used = complete_priors({"period": {"random-walk": [0.5]}}, terms=AGENCIES.terms, impossible={})
    coords = {"outcome": ["force"], "period_number": list(range(1, 7))}
    model = stated(AGENCIES, Inputs(used, coords, tables_of(rows) | prior_tables(used)))
    assert "period_step" in model.named_vars


def test_the_table_is_of_agencies_alone():
    from rct.posterior import Posterior

    with pytest.raises(rct.DataError, match="model 'marginal'"):
        rct.bayesian.agency_table(Posterior(
            outcomes=("a",), arms=("T",), reference="c", model="marginal", priors={}, diagnostics={},
            level=0.9, meta={}, source={},
        ))  # fmt: skip
