"""The verdict in words, and how many studies like it would be needed."""

import pandas as pd
import pytest
from scipy.stats import norm

import rct
from rct import power
from rct.power.verdict import Size, impossible, studies_needed, unsettled_errors, verdict

TRIAL = rct.load("louisville_icat")
SIZE = Size(41, 41, {"force": 4.0, "citizen_injury": 1.6, "officer_injury": 0.4})


def row(share, outcome="force"):
    return {"outcome": outcome, "arm": "ICAT", "effect": 0.8, "power": share}


def test_an_agency_that_cannot_is_told_what_could():
    assert verdict(TRIAL, SIZE, row(0.11)) == (
        "With 41 officers and 4 use-of-force incidents a month this agency cannot detect a 20 % fall in "
        "use-of-force incidents within 24 months: it would see it in 11 % of studies; about 16 agencies like "
        "it, pooled, would."
    )


def test_an_agency_that_can_is_told_so():
    said = verdict(TRIAL, SIZE, row(0.86, "officer_injury"))
    assert "0.4 incidents with an officer injured a month this agency can detect a 20 % fall" in said
    assert said.endswith("it would see it in 86 % of studies.")


def test_a_power_is_not_rounded_up_to_the_one_it_does_not_reach():
    assert "cannot detect" in verdict(TRIAL, SIZE, row(0.7996))
    assert "in 79.9 % of studies" in verdict(TRIAL, SIZE, row(0.7996))
    assert "can detect a 20 % fall" in verdict(TRIAL, SIZE, row(0.8))
    assert "in 79 % of studies" in verdict(TRIAL, SIZE, row(0.791))


@pytest.mark.parametrize(
    ("events", "words"),
    [(0.04, "and 0.04 incidents"), (0.001, "and fewer than 0.01 incidents"), (9.7, "and 10 incidents")],
)
def test_a_small_agency_with_few_events_is_not_told_that_it_has_none(events, words):
    size = Size(4, 4, {"force": 1.0, "citizen_injury": 0.1, "officer_injury": events})
    assert words in verdict(TRIAL, size, row(0.05, "officer_injury"))


def test_a_change_below_one_percent_is_not_a_change_of_nothing():
    assert "a 0.4 % fall in" in verdict(TRIAL, SIZE, row(0.05) | {"effect": 0.996})


def test_nothing_is_promised_where_power_is_hardly_above_chance():
    assert "pooled" not in verdict(TRIAL, SIZE, row(0.05))


@pytest.mark.parametrize("distance", [0.9, 1.5, 2.4])
def test_pooled_studies_reach_the_target_of_a_normal_test(distance):
    z = norm.ppf(0.975)
    reached = lambda d: norm.sf(z - d) + norm.cdf(-z - d)  # noqa: E731
    number = studies_needed(reached(distance), 0.05)
    assert reached(distance * number**0.5) >= 0.8 > reached(distance * (number - 1) ** 0.5)


def test_a_smallest_p_of_alpha_itself_is_enough():
    assert impossible(TRIAL, 0.05, 20) == ""
    assert "the smallest possible randomization p-value is 0.0526" in impossible(TRIAL, 1 / 19, 19)


@pytest.mark.parametrize(("errors", "told"), [([0.6, 1.1], True), ([1.0, 1.0], False)])
def test_a_standard_error_may_also_be_far_below_its_mean(errors, told):
    """A tenth of the errors is smaller by four tenths, the others hardly larger than the mean."""
    found = pd.DataFrame(
        {
            "analysis": "staggered simple",
            "outcome": "force",
            "std_error": [errors[0]] * 10 + [errors[1]] * 90,
        }
    )
    notes = unsettled_errors(rct.Trial.parse(CLASSES.format(units=104)), found)
    assert len(notes) == told


def test_two_clusters_cannot_work():
    text = TRIAL.to_toml().replace("clusters = 9", "clusters = 2").replace("units = 600", "units = 100")
    said = power.cannot_work(rct.Trial.parse(text))
    assert said.startswith(
        "This trial cannot work: whatever training does, no result can be significant at 0.05"
    )
    assert "2 distinct allocations" in said
    assert said.count(". ") == 0
    assert power.cannot_work(TRIAL) == ""


@pytest.mark.parametrize(("waiting", "unsettled"), [(4, True), (200, False)])
def test_a_planner_is_told_where_a_handful_who_still_wait_decide_the_standard_error(waiting, unsettled):
    text = CLASSES.format(units=100 + waiting)
    found = power.simulate(rct.Trial.parse(text), sims=64)
    errors = found.replicates["std_error"]
    high = errors.quantile(0.95) / errors.mean() - 1
    assert (high > 0.2) == unsettled
    told = [note for note in found.notes if note.startswith("Force: the standard error")]
    assert len(told) == unsettled
    if told:
        assert f"below its mean and {100 * high:.0f} % above" in told[0]


CLASSES = """
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
starts = [4, 6]
sizes = [50, 50]
never = true
[[outcomes]]
name = "force"
label = "Force"
primary = true
[analysis]
primary = {{ estimator = "staggered", aggregate = "simple" }}
inference = "cluster-robust"
[power]
effects = {{ force = 0.8 }}
rates = {{ force = 0.4 }}
units = {units}
heterogeneity = 1.0
"""
