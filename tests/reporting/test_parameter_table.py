"""What a fit finds beside its effects, and officers' rates, as the report prints them."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from rct.bayesian.officer_rates import _groups
from rct.estimates import Estimates
from rct.posterior import Posterior
from rct.reporting import posterior_tables as tables
from rct.reporting.figure_markup import new_figure
from rct.reporting.figures import officer_figures
from rct.reporting.officer_plot import LOWEST, draw_officers
from rct.reporting.parameter_table import parameter_table
from rct.reporting.posterior_section import posterior_sections
from rct.reporting.report_units import ReportUnits

WORDS = ReportUnits("division", "officer", "month", {"force": "Force", "injury": "Injury"}, {})
GROUPS = [
    {"fewest": 0, "most": 0, "units": 70, "own": 0.0, "rate_ratio": 0.4, "ratio_low": 0.0, "ratio_high": 1.7},
    {"fewest": 4, "most": 8, "units": 5, "own": 5.5, "rate_ratio": 3.0, "ratio_low": 1.4, "ratio_high": 6.2},
]  # fmt: skip


def fit_of(model, **draws):
    """Draws by name: (dims after chain and draw, values along them), the same at every draw but a spread."""
    spread = np.linspace(-0.08, 0.08, 401).reshape(1, -1)
    data = {}
    for name, (dims, values) in draws.items():
        table = np.asarray(values) + spread.reshape(1, 401, *[1] * len(dims))
        data[name] = (("chain", "draw", *dims), table)
    outcomes = ("force", "injury") if data["effect"][1].ndim > 2 else ("force",)
    facts = {"n_units": 120, "n_clusters": 9, "n_events": 300.0, "baseline": 0.05, "warning": ""}
    return Posterior(
        outcomes=outcomes, arms=("ICAT",), reference="usual", model=model,
        priors={"effect": {"normal": [0.0, 0.5]}},
        diagnostics={"ok": True, "failures": [], "divergences": 0, "rhat": {"effect": 1.0}, "ebfmi": 0.83,
                     "ess_bulk": {"effect": 900.0}, "ess_tail": {"effect": 900.0}, "draws": 401, "chains": 1},
        level=0.95, meta=dict.fromkeys(outcomes, facts),
        source={"posterior": xr.Dataset(data, coords={"dose": [0.5, 1.0]}), "sample_stats": xr.Dataset()},
    )  # fmt: skip


def told(fit):
    return {row[:2]: row[2] for row in parameter_table(fit, WORDS).rows}


def test_a_fit_of_effects_alone_has_no_such_table():
    assert parameter_table(fit_of("marginal", effect=((), -0.2)), WORDS) is None


def test_heterogeneity_is_a_share_of_the_average():
    """A gamma effect of shape 4 has a standard deviation of half its mean."""
    found = told(fit_of("marginal", effect=((), -0.2), heterogeneity=((), 4.0), cluster_sd=((), 0.3)))
    assert found["Force", "rates of officers: standard deviation as a share of the average"] == (
        "50.0 % (49.5 % to 50.5 %)"
    )
    assert found["Force", "log rate of divisions: standard deviation"] == "0.30 (0.22 to 0.38)"


def test_the_curve_of_doses_ends_at_the_effect():
    """Half the dose has .8 of the effect -.5: exp(-.4) - 1 = -33.0 %; the draws of both rise together."""
    fit = fit_of("dose", effect=((), -0.5), dose_share=(("dose",), [0.8, 0.2]))
    fit.groups["posterior"]["dose_share"].values[:] = [0.8, 0.2]
    found = told(fit)
    assert found["Force", "percent change at dose 0.5"].startswith("−33.0 % (")
    assert found["Force", "percent change at dose 1"].startswith("−39.3 % (")


def test_a_joint_fit_tells_injury_given_force_and_that_all_fell():
    fit = fit_of(
        "joint", effect=(("outcome",), [-0.09, -0.06]), effect_given=(("injury",), [0.03]),
        heterogeneity=((), 4.0), cluster_sd=(("outcome",), [0.3, 0.2]),
        cluster_correlation=(("outcome_pair",), [0.4]),
    )  # fmt: skip
    found = told(fit)
    assert found["Injury", "change of the chance of injury given force"].startswith("+3.0 % (")
    assert ("Injury", "log chance of injury given force of divisions: standard deviation") in found
    assert found["Force", "correlation over divisions: Force and Injury given force"].startswith("0.40 (")
    assert ("Injury", "rates of officers: standard deviation as a share of the average") not in found
    *_, together = tables.answers_table(fit, WORDS).rows
    draws = fit.groups["posterior"]["effect"].to_numpy()[0]
    assert together[0] == "all of them"
    assert together[2] == f"{(draws < 0).all(axis=1).mean():.3f}".removeprefix("0")
    assert together[3] == f"{(draws < np.log(0.9)).all(axis=1).mean():.3f}".removeprefix("0")
    assert together[4] == (
        f"{((draws > np.log(0.95)) & (draws < np.log(1.05))).all(axis=1).mean():.3f}".removeprefix("0")
    )
    marginal = replace(fit, model="marginal")
    assert len(tables.answers_table(marginal, WORDS).rows) == 2, "independent blocks say nothing together"


def test_fading_and_surplus_zeros_are_told():
    found = told(fit_of("fading", effect=((), -0.2), half_life=((), 7.0)))
    assert found["Force", "half-life of the effect, months"] == "7.00 (6.92 to 7.08)"
    found = told(fit_of("zero-inflated", effect=((), -0.2), zero_share=((), 0.2), dispersion=((), 4.0)))
    assert found["Force", "surplus zeros among officer-months"].startswith("20.0 % (")
    assert found["Force", "rates of officer-months: standard deviation as a share of the average"].startswith(
        "50.0 %"
    )


def test_the_section_tells_the_energy_and_draws_officers():
    fit = replace(fit_of("marginal", effect=((), -0.2)), checks={"force": {"officers": GROUPS}})
    section = posterior_sections(Estimates((), {"bayesian marginal": fit}), WORDS)[0]
    assert "E-BFMI not below 0.3 (here 0.83)" in section.diagnostics.caption
    (picture,) = section.officers
    assert "the data do not tell officers apart" in picture.caption
    assert "4 to 8 events (5 officers): 3.00 (1.40 to 6.20)" in picture.markup
    assert officer_figures(fit_of("marginal", effect=((), -0.2)), WORDS, name="o") == []


def test_officers_are_drawn_where_the_table_says():
    _, (axes,) = new_figure([3.0])
    draw_officers(axes, GROUPS, title="Force", measured="officers")
    lines = {line.get_label(): line.get_ydata() for line in axes.lines}
    assert list(lines["own counts alone"]) == [LOWEST, 5.5]
    assert list(lines["posterior median and interval"]) == [0.4, 3.0]
    intervals = [list(line.get_ydata()) for line in axes.lines if list(line.get_xdata()) in ([0, 0], [1, 1])]
    assert intervals == [[LOWEST, 1.7], [1.4, 6.2]]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0\n(70)", "4–8\n(5)"]


@pytest.mark.parametrize(
    ("sizes", "together"),
    [
        ([77, 48, 4, 1, 1, 1], [0, 1, 2, 3, 3, 3]),
        ([5, 1, 1, 1, 1], [0, 0, 2, 2, 2]),
        ([1, 1, 5], [0, 0, 0]),
        ([2], [0]),
    ],
)
def test_no_officer_is_drawn_alone(sizes, together):
    events = np.repeat(np.arange(len(sizes)), sizes).astype(float)
    assert [_groups(events)[events == k][0] for k in range(len(sizes))] == together


def test_many_numbers_of_events_are_few_groups():
    assert len(np.unique(_groups(np.repeat(np.arange(200.0), 5)))) <= 17


@pytest.mark.parametrize(
    ("above", "words"), [(1, "1 of 120 officers is at"), (2, "2 of 120 officers are at")]
)
def test_one_officer_is_and_two_are(above, words):
    left_out = {"elpd": -1.0, "elpd_std_error": 1.0, "largest_k": 0.8, "units": 120, "units_above": above,
                "limit": 0.7}  # fmt: skip
    fit = replace(
        fit_of("joint", effect=((), -0.2)), checks={"force": {"left_out": left_out | {"together": True}}}
    )
    (sentence,) = tables.check_sentences(fit, WORDS)
    assert sentence.startswith("All outcomes together, each officer left out in turn")
    assert words in sentence


def test_the_enthusiasts_hope_is_named():
    prior = {"prior": "enthusiastic", "mean": np.log(0.7), "sd": 0.2, "estimate": -0.1, "conf_low": -0.3,
             "conf_high": 0.1, "probability_reduced": 0.84, "pareto_k": 0.2, "reliable": True}  # fmt: skip
    fit = replace(fit_of("marginal", effect=((), -0.2)), checks={"force": {"priors": {"ICAT": [prior]}}})
    assert tables.priors_table(fit, WORDS).rows[0][1].startswith("enthusiastic (−30.0 % hoped for): normal(")
