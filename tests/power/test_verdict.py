"""The verdict in words, and how many studies like it would be needed."""

import pytest
from scipy.stats import norm

import rct
from rct import power
from rct.power.verdict import Size, studies_needed, verdict

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


def test_nothing_is_promised_where_power_is_hardly_above_chance():
    assert "pooled" not in verdict(TRIAL, SIZE, row(0.05))


@pytest.mark.parametrize("distance", [0.9, 1.5, 2.4])
def test_pooled_studies_reach_the_target_of_a_normal_test(distance):
    z = norm.ppf(0.975)
    reached = lambda d: norm.sf(z - d) + norm.cdf(-z - d)  # noqa: E731
    number = studies_needed(reached(distance), 0.05)
    assert reached(distance * number**0.5) >= 0.8 > reached(distance * (number - 1) ** 0.5)


def test_two_clusters_cannot_work():
    text = TRIAL.to_toml().replace("clusters = 9", "clusters = 2").replace("units = 600", "units = 100")
    said = power.cannot_work(rct.Trial.parse(text))
    assert said.startswith(
        "This trial cannot work: whatever training does, no result can be significant at 0.05"
    )
    assert "2 distinct allocations" in said
    assert said.count(". ") == 0
    assert power.cannot_work(TRIAL) == ""
