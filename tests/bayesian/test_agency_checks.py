"""What is said of a fit of agencies beside its effects: against quadrature and simulation."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import integrate, stats

import rct
from rct.bayesian import agency_table, check_fit, officer_effects
from rct.bayesian.cell_rates import unit_rates
from rct.bayesian.predictive_checks import replicate
from rct.bayesian.rates_at_hand import with_rates_at_hand
from rct.bayesian.unit_likelihood import unit_log_likelihood
from rct.posterior import Posterior

AGENCIES, MONTHS, DRAWS = 9, 6, 40


@pytest.fixture(scope="module")
def panel():
    """Agencies with exposures of their own that start in months 3 and 5, or never."""
    rng = np.random.default_rng(6)
    i, month = np.repeat(np.arange(AGENCIES), MONTHS), np.tile(np.arange(1, MONTHS + 1), AGENCIES)
    on = (month >= np.array([3, 5, 9])[i % 3]).astype(float)
    frame = pd.DataFrame({
        "agency": [f"a{k}" for k in i], "month": month, "on": on,
        "staff": 1.0 + i % 4, "force": rng.poisson((1 + i % 4) * rng.gamma(1, 1, AGENCIES)[i]),
    })  # fmt: skip
    return rct.Panel.from_frame(
        frame, unit="agency", period="month", outcomes=["force"], treated="on", exposure="staff"
    )


@pytest.fixture(scope="module")
def fit(panel):
    rng = np.random.default_rng(3)

    def drawn(mean, *shape):
        return mean + 0.2 * rng.normal(size=(2, DRAWS, *shape))

    draws = {
        "intercept": (("chain", "draw"), drawn(0.0)), "effect": (("chain", "draw"), drawn(-0.3)),
        "period": (("chain", "draw", "period_number"), drawn(0.0, MONTHS)),
        "heterogeneity": (("chain", "draw"), np.exp(drawn(0.0))),
        "agency_sd": (("chain", "draw"), 0.6 * np.exp(drawn(0.0))),
        "agency_change": (("chain", "draw", "agency"), drawn(-0.3, AGENCIES).astype(np.float32)),
    }  # fmt: skip
    return Posterior(
        outcomes=("force",), arms=tuple(panel.treatments), reference="control", model="agencies",
        priors={"effect": {"normal": [0.0, 0.5]}, "agency_sd": {"half-normal": [0.5]},
                "intercept": {"normal": [-3.0, 3.0]}, "period": {"zero-sum-normal": [2.0]},
                "heterogeneity": {"gamma": [2.0, 2.0]}},
        diagnostics={"seed": 5, "chains": 2, "draws": DRAWS}, level=0.95,
        meta={"force": {"n_units": AGENCIES, "n_clusters": AGENCIES, "baseline": 1.0, "warning": "",
                        "n_events": float(panel.rows("force")["count"].sum())}},
        source={"posterior": xr.Dataset(draws, coords={"period_number": np.arange(1, MONTHS + 1),
                                                       "agency": [f"a{k}" for k in range(AGENCIES)]}),
                "sample_stats": xr.Dataset()},
    )  # fmt: skip


def without_control(fit):
    return replace(fit, priors=fit.priors | {"effect": False})


@pytest.mark.parametrize("controlled", [True, False])
def test_an_agencys_likelihood_is_the_integral_over_its_change(panel, fit, controlled):
    asked = fit if controlled else without_control(fit)
    found = unit_log_likelihood(asked, panel, "force", most_draws=1000)[-1]
    at = fit.groups["posterior"].isel(chain=-1, draw=-1)
    phi, sd = float(at["heterogeneity"]), float(at["agency_sd"])
    effect = float(at["effect"]) if controlled else 0.0
    for number, (_, own) in enumerate(panel.rows("force").groupby("unit")):
        count, on = own["count"].to_numpy(), own["treated"].to_numpy()
        plain = own["exposure"].to_numpy() * np.exp(
            float(at["intercept"]) + at["period"].to_numpy()[own["period"] - 1]
        )

        grid = np.linspace(effect - 7 * sd, effect + 7 * sd, 401)
        mean = plain * np.exp(on * grid[:, None])
        total = mean.sum(axis=1)
        value = stats.nbinom.logpmf(count.sum(), phi, phi / (phi + total))
        value += stats.multinomial.logpmf(count, count.sum(), mean / total[:, None])
        integral = integrate.simpson(np.exp(value + stats.norm.logpdf(grid, effect, sd)), x=grid)
        assert found[number] == pytest.approx(np.log(integral), rel=1e-6)


def test_replicates_have_changes_of_their_own(panel, fit):
    """Mean of an agency's later months: the lognormal mean of its change; the earlier ones have none."""
    rates = unit_rates(fit, panel, "force", most_draws=1000)
    rng = np.random.default_rng(1)
    made = np.mean([replicate(rates, 0, rng) for _ in range(3000)], axis=0)
    mean = rates.exposure * np.exp(rates.log_rate[0] + rates.log_effect[0])[rates.row_cell]
    on = rates.treated[rates.row_cell]
    ratio = [made[on == side].sum() / mean[on == side].sum() for side in (0, 1)]
    assert ratio == pytest.approx([1, np.exp(rates.change_sd[0] ** 2 / 2)], rel=0.06)


def test_agencies_are_checked_as_officers_are_and_have_no_officers_effects(panel, fit):
    checked = check_fit(fit, panel)
    found = checked.checks["force"]
    assert {"priors", "prior_incidents", "predictive", "left_out", "power_scaling"} == set(found)
    assert found["left_out"]["units"] == AGENCIES
    assert checked.answers()["rate_uncertain"].all()
    without = check_fit(without_control(fit), panel).checks["force"]
    assert {"prior_incidents", "predictive", "left_out"} == set(without)
    with pytest.raises(rct.EstimationError, match="agency_table gives them"):
        officer_effects(fit, panel, outcome="force")


def test_events_averted_are_what_the_agencies_own_changes_add_up_to(panel, fit):
    """Of one draw, again and again: each agency's gamma conditional given its own change, by hand."""
    again = 3000
    one = fit.groups["posterior"].isel(chain=[0], draw=np.zeros(again, int))
    names, own = list(one["agency"].to_numpy()), np.linspace(-1.5, 1.5, AGENCIES)
    one["agency_change"] = (("chain", "draw", "agency"), np.tile(own, (1, again, 1)))
    swapped = one.isel(
        agency=np.arange(AGENCIES)[::-1]
    )  # the order of the draws' agencies is not the panel's
    checked = with_rates_at_hand(replace(fit, source={"posterior": swapped}), panel)
    found = checked["untreated_rate"].to_numpy()[0], checked["treated_rate"].to_numpy()[0]
    at = one.isel(chain=0, draw=0)
    phi, rows = float(at["heterogeneity"]), panel.rows("force")
    plain = rows["exposure"] * np.exp(float(at["intercept"]) + at["period"].to_numpy()[rows["period"] - 1])
    on, change = rows["treated"].to_numpy() > 0, own[[names.index(unit) for unit in rows["unit"]]]
    mean = pd.DataFrame({
        "after": plain * on, "changed": plain * on * np.exp(change), "all": plain * np.exp(on * change),
        "count": rows["count"],
    }).groupby(rows["unit"]).sum()  # fmt: skip
    shape, rate = phi + mean["count"], phi + mean["all"]
    for drawn, expected in zip(found, (mean["after"], mean["changed"]), strict=True):
        weight = expected / rows["exposure"][on].sum()
        sd = np.sqrt((weight**2 * shape / rate**2).sum())
        assert drawn.std() == pytest.approx(sd, rel=0.06)
        assert drawn.mean() == pytest.approx((weight * shape / rate).sum(), abs=4 * sd / again**0.5)
    answer = replace(fit, source={"posterior": checked}).answers().iloc[0]
    assert answer["averted"] == pytest.approx(1200 * np.median(found[0] - found[1]))
    assert set(with_rates_at_hand(without_control(fit), panel)) == set(fit.groups["posterior"])


def test_a_verdict_needs_39_of_40_and_shrinkage_is_a_share_of_variance(fit):
    """Exactly 97.5 % on one side is not enough, whichever side; shrinkage is by the variance of all."""
    ranks = np.arange(80).reshape(2, 40) / 80
    change = np.stack([ranks - 0.97, ranks - 0.98, ranks - 0.02], axis=2)
    draws = xr.Dataset(
        {
            "agency_change": (("chain", "draw", "agency"), change),
            "effect": (("chain", "draw"), np.full((2, 40), -0.5)),
            "agency_sd": (("chain", "draw"), np.full((2, 40), 0.5)),
        },
        coords={"agency": ["a", "b", "c"]},
    )
    counts = {name: [4.0] * 3 for name in ("events", "events_after", "exposure_before", "exposure_after")}
    asked = replace(fit, source={"posterior": draws}, meta={"force": fit.meta["force"] | counts})
    table = agency_table(asked).set_index("agency")
    assert list(table["probability_reduced"]) == [78 / 80, 79 / 80, 2 / 80]
    assert list(table["verdict"]) == ["cannot tell", "fell", "cannot tell"]
    assert table["shrinkage"].to_numpy() == pytest.approx(ranks.var() / 0.25)
    assert table["probability_below_others"].to_numpy() == pytest.approx(
        [(one < -0.5).mean() for one in (ranks - 0.97, ranks - 0.98, ranks - 0.02)]
    )
