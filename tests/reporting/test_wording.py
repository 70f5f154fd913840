import math

import numpy as np
import pytest

from rct.reporting.analyses import primary_rows
from rct.reporting.report_units import ReportUnits, plural, report_units
from rct.reporting.wording import assumption, finding
from rct.trial import Trial


@pytest.fixture
def told(estimate):
    def tell(**changes):
        return finding(estimate("force", **changes), label="Force", alpha=0.05)

    return tell


def test_a_clear_reduction_is_said_with_its_evidence(told):
    found = told(p_value=0.004, p_adjusted=0.012)
    assert found.verdict == "fewer"
    assert found.sentence == (
        "25.0 % fewer events with ICAT than with usual training "
        "(p = .004; p = .012 allowing for several outcomes). "
        "Anything from 40.0 % fewer to 10.0 % fewer fits the data."
    )


def test_the_adjusted_p_value_decides(told):
    assert told(p_value=0.03, p_adjusted=0.09).verdict == "unclear"


def test_a_null_is_not_called_no_effect_and_names_what_is_excluded(told):
    found = told(p_value=0.4, conf_low=math.log(0.868), conf_high=math.log(1.041))
    assert "not evidence of no effect" in found.sentence
    assert "anything from 13.2 % fewer to 4.1 % more fits the data" in found.sentence


def test_an_interval_that_disagrees_with_the_p_value_is_pointed_out(told):
    assert "direction is clearer than the size" in told(p_value=0.01, conf_high=0.1).sentence
    assert "read the finding as uncertain" in told(p_value=0.2).sentence


def test_an_interval_without_allowance_for_several_outcomes_is_said_to_lack_it(told):
    assert "does not allow for several outcomes" in told(p_value=0.04, p_adjusted=0.12).sentence


def test_a_posterior_is_judged_by_its_interval(told):
    found = told(p_value=math.nan, probability_reduced=0.98)
    assert found.verdict == "fewer"
    assert "probability of a reduction .980" in found.sentence


def test_an_increase_is_called_more(told):
    found = told(estimate=math.log(1.4), conf_low=math.log(1.1), conf_high=math.log(1.8))
    assert found.verdict == "more"
    assert found.sentence.startswith("40.0 % more events")


def test_a_difference_is_told_in_percent_of_its_baseline(told):
    found = told(scale="difference", estimate=-0.01, baseline=0.05, conf_low=-0.018, conf_high=-0.002)
    assert found.figure == "−20.0 %"
    assert found.interval == "95 % interval −36.0 to −4.0 %"


def test_the_primary_analysis_gives_the_headline_wherever_it_stands(estimate):
    primary = estimate("force", notes={"role": "primary"})
    assert primary_rows([estimate("force", notes={"role": "secondary"}), primary]) == [primary]


def test_single_exposure_times_give_the_headline_only_where_nothing_else_is_there(estimate):
    path = [estimate("force", exposure_time=float(t)) for t in (1, 2)]
    overall = estimate("force", estimate=np.log(0.9))
    assert primary_rows([*path, overall]) == [overall]
    assert primary_rows(path) == [path[0]]


def test_the_headline_says_what_its_figures_assume(estimate):
    average = estimate("force", estimand="ITT incidence rate ratio, mean over exposure times 1–12")
    assert "averages over months 1–12 since training began" in assumption([average], period="month")
    assert "same from the first treated period on" in assumption([estimate("force")], period="month")
    curve = estimate("force", estimand=f"{average.estimand} (exponential fading to nothing)")
    told = assumption([curve], period="month")
    assert "averages over months 1–12 since training began" in told
    assert "course after training: exponential fading to nothing" in told
    assert "nothing about how the effect grows" not in told


@pytest.mark.parametrize(
    ("one", "several"),
    [("division", "divisions"), ("agency", "agencies"), ("day", "days"), ("batch", "batches")],
)
def test_plurals(one, several):
    assert plural(one) == several


def test_units_that_are_randomized_by_their_id_are_called_by_their_kind(trial):
    own = Trial.parse(trial.to_toml().replace('randomize = "division"', 'randomize = "officer_id"'))
    assert report_units(own).randomized_plural == "officers"
    assert report_units(trial).randomized_plural == "divisions"


def test_rates_are_per_hundred_officers_but_per_division_where_divisions_are_measured():
    officers = ReportUnits("division", "officer", "month", {}, {"force": "encounters"})
    assert officers.rate_unit("injury") == "100 officers per year"
    assert (officers.period_unit("force"), officers.period_factor("force")) == ("100 encounters", 100)
    divisions = ReportUnits("division", "division", "month", {}, {})
    assert (divisions.rate_unit("force"), divisions.rate_factor("force")) == ("division per year", 12.0)
    assert (divisions.period_unit("force"), divisions.period_factor("force")) == ("division per month", 1)
