"""What the report says of a Bayesian fit beside its effects."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from rct.bayesian import agency_table
from rct.estimates import Estimate, Estimates
from rct.posterior import Posterior
from rct.reporting import posterior_tables as tables
from rct.reporting.figure_markup import new_figure
from rct.reporting.number_format import NONE
from rct.reporting.posterior_section import posterior_sections
from rct.reporting.report_units import ReportUnits
from rct.reporting.shrinkage_plot import draw_shrinkage

WORDS = ReportUnits("division", "officer", "month", {"force": "Force"}, {})


def checks_of(**changes):
    figure = {"figure": "largest count of a unit-period", "observed": 9.0, "median": 3.0, "low": 2.0,
              "high": 5.0, "tail": 0.001}  # fmt: skip
    clusters = [figure | {"figure": f"events in Division {i}", "tail": 0.4 if i else 0.01} for i in range(20)]
    prior = {"prior": "sceptical", "mean": 0.0, "sd": 0.2, "estimate": -0.1, "conf_low": -0.3,
             "conf_high": 0.1, "probability_reduced": 0.84, "pareto_k": 0.2, "reliable": True}  # fmt: skip
    return {
        "prior_incidents": {"low": 0.2, "median": 9.0, "high": 4321.4, "observed": 28.25},
        "predictive": [figure, *clusters],
        "left_out": {"elpd": -200.3, "elpd_std_error": 12.0, "largest_k": 0.9, "units": 120, "units_above": 2,
                     "limit": 0.7},
        "priors": {"ICAT": [prior, prior | {"prior": "enthusiastic", "reliable": False}]},
        "power_scaling": {"ICAT": {"prior": 0.09, "likelihood": 0.01}},
    } | changes  # fmt: skip


def posterior_of(checks):
    draws = np.random.default_rng(1).normal(-0.2, 0.1, (2, 500))
    data = xr.Dataset({"effect": (("chain", "draw"), draws)})
    return Posterior(
        outcomes=("force",), arms=("ICAT",), reference="usual", model="marginal",
        priors={"effect": {"normal": [0.0, 0.5]}},
        diagnostics={"ok": True, "failures": [], "divergences": 0, "rhat": {"effect": 1.0},
                     "ess_bulk": {"effect": 900.0}, "ess_tail": {"effect": 900.0}, "draws": 500, "chains": 2},
        level=0.95,
        meta={"force": {"n_units": 120, "n_clusters": 9, "n_events": 300.0, "baseline": 0.05, "warning": "",
                        "estimand": "ITT incidence rate ratio, constant effect"}},
        source={"posterior": data, "sample_stats": xr.Dataset()},
        checks={"force": checks} if checks else {},
    )  # fmt: skip


@pytest.fixture
def posterior():
    return posterior_of(checks_of())


def test_answers_are_in_events_of_the_agency(posterior):
    table = tables.answers_table(posterior, WORDS)
    (row,) = table.rows
    draws = posterior.effect_draws("force")
    averted = np.median(1 - np.exp(draws)) * 0.05 * 1200
    assert row[0] == "Force"
    assert row[-1].startswith(f"+{averted:.1f} (")
    assert row[-1].endswith(")"), "the unit stands in the head, so that the table fits the page"
    assert table.columns[-1] == "events averted per 100 officers per year"
    other = ReportUnits("division", "officer", "month", {}, {"injury": "encounters"})
    two = replace(
        posterior,
        outcomes=("force", "injury"),
        meta=dict.fromkeys(("force", "injury"), posterior.meta["force"]),
    )
    cells = [one[-1] for one in tables.answers_table(two, other).rows]
    assert cells[0].endswith(") per 100 officers per year")
    assert cells[1].endswith(") per 100 encounters")


def test_a_reader_is_told_among_whom_events_were_averted(posterior):
    def told(model, heterogeneity, *, known=True, controlled=True):
        draws = posterior.groups["posterior"]
        if known:
            draws = draws.assign(untreated_rate=draws["effect"] * 0 + 0.05)
        one = replace(
            posterior, model=model, source={"posterior": draws},
            priors=posterior.priors | {"heterogeneity": heterogeneity},
            meta={"force": posterior.meta["force"] | {"controlled": controlled}},
        )  # fmt: skip
        return tables.answers_table(one, WORDS).caption.split("Events averted ")[1].split(";")[0]

    gamma = {"gamma": [2.0, 2.0]}
    assert told("marginal", gamma) == "are counted among the officers of this trial that were trained"
    assert told("fading", gamma).endswith("trained, in the first periods in training")
    assert told("agencies", gamma).endswith("trained, each with its own change")
    assert told("negative-binomial", False) == (
        "are counted from the rate of an average officer in the treated rows"
    )
    assert told("marginal", gamma, known=False) == "are counted from the observed untreated rate"
    assert told("agencies", gamma, known=False, controlled=False) == "need a control"


def test_misfits_are_named_and_of_many_clusters_only_those(posterior):
    rows = tables.predictive_table(posterior, WORDS).rows
    assert [row[1] for row in rows] == ["largest count of a unit-period", "events in Division 0"]
    assert {row[-1] for row in rows} == {"seldom so far out"}
    assert rows[0][2:4] == ("9", "3 (2 to 5)")


def test_a_prior_that_these_draws_cannot_answer_for_says_so(posterior):
    sceptic, enthusiast = tables.priors_table(posterior, WORDS).rows
    assert sceptic[-1] == ".840"
    assert enthusiast[-1] == "needs a fit of its own"


def test_sentences_speak_of_incidents_a_month_and_of_what_decides(posterior):
    incidents, left_out, scaling = tables.check_sentences(posterior, WORDS)
    assert "from 0.2 to 4,321 events a month (95 %); an average one had 28" in incidents
    assert "2 of 120 officers are at or above 0.7" in left_out
    assert scaling.startswith("Force: the prior of the effect decides and the data hardly matter")
    calm = posterior_of(checks_of(power_scaling={"ICAT": {"prior": 0.01, "likelihood": 0.2}}))
    assert "the data decide" in tables.check_sentences(calm, WORDS)[-1]


def test_the_primary_analysis_stands_first_and_decides(posterior):
    primary = Estimate(
        outcome="force", term="ICAT", arm="ICAT", reference="usual", estimand="ITT", method="Poisson",
        inference="re-randomization", scale="log", level=0.95, estimate=-0.25, conf_low=-0.5, conf_high=0.01,
        p_value=0.06, notes={"role": "primary"},
    )  # fmt: skip
    table = tables.comparison_table(posterior, Estimates((primary,)), WORDS)
    assert [row[1].split(":")[0] for row in table.rows] == ["primary, ITT", "posterior"]
    assert table.rows[0][3] == ".060"
    assert "the first decides" in table.caption
    assert tables.comparison_table(posterior, Estimates(()), WORDS) is None
    half = replace(primary, term="half", arm="half")
    dose = replace(posterior, arms=("dose 1",))
    both = tables.comparison_table(dose, Estimates((primary, half)), WORDS)
    assert [row[0] for row in both.rows] == ["Force, ICAT", "Force, half", "Force, dose 1"]
    assert both.rows[-1][1].startswith("posterior: ")


def test_a_fit_without_checks_has_no_tables_of_them():
    bare = posterior_of({})
    assert tables.predictive_table(bare, WORDS) is None
    assert tables.priors_table(bare, WORDS) is None
    assert tables.check_sentences(bare, WORDS) == []


def agencies_posterior(*, controlled=True, agencies=40):
    """Forty agencies with draws of their changes around -.2, one of them without an event."""
    rng = np.random.default_rng(2)
    events = rng.poisson(30, agencies).astype(float)
    events[0] = 0
    middle = np.where(np.arange(agencies) == 1, -1.5, -0.1)
    change = rng.normal(middle, 0.2, (2, 500, agencies)).astype(np.float32)
    data = posterior_of({}).groups["posterior"].assign_coords(agency=[f"a{i:02d}" for i in range(agencies)])
    data = data.assign(
        agency_change=(("chain", "draw", "agency"), change),
        agency_sd=(("chain", "draw"), np.full((2, 500), 0.4)),
    )
    facts = {
        "events": events.tolist(), "events_after": (events // 3).tolist(), "controlled": controlled,
        "exposure_before": [6.0] * agencies, "exposure_after": [6.0] * agencies,
    }  # fmt: skip
    plain = posterior_of({})
    return replace(
        plain, model="agencies", meta={"force": plain.meta["force"] | facts},
        source={"posterior": data, "sample_stats": xr.Dataset()},
    )  # fmt: skip


def test_agencies_are_drawn_with_how_many_the_data_cannot_tell():
    section = posterior_sections(Estimates((), {"bayesian agencies": agencies_posterior()}), WORDS)[0]
    assert "of 40 officers, 1 fell, 0 rose, and of 39 the data cannot tell" in section.shrinkage.caption
    assert "1 whose own counts give no ratio" in section.shrinkage.caption
    assert section.shrinkage.markup.startswith("<svg")
    assert "cannot tell (39)" in section.shrinkage.markup
    plain = posterior_sections(Estimates((), {"bayesian marginal": posterior_of({})}), WORDS)[0]
    assert plain.shrinkage is None


def test_each_agency_is_a_line_from_its_own_counts_to_its_posterior():
    table = agency_table(agencies_posterior())
    _, (axes,) = new_figure([3.0])
    draw_shrinkage(axes, table, mean=-10.0)
    ends = [line.get_xdata() for line in axes.lines if list(line.get_ydata()) == [1, 0]]
    known = table[table["raw_percent_change"].notna()]
    expected = np.log1p(known[["raw_percent_change", "percent_change"]].to_numpy() / 100)
    drawn = np.array([one for one in ends if np.isfinite(one).all()])
    assert np.sort(drawn, axis=0) == pytest.approx(np.sort(expected, axis=0))


def test_a_change_over_time_averts_nothing():
    (row,) = tables.answers_table(agencies_posterior(controlled=False), WORDS).rows
    assert row[-1] == NONE
    assert np.isnan(agencies_posterior(controlled=False).answers()["averted"].iloc[0])
    assert agencies_posterior().answers()["averted"].iloc[0] > 0
