"""Two rates in closed form, against statsmodels and roots found at its power."""

import json
from pathlib import Path

import pytest

from rct import RctError, power

REFERENCE = json.loads((Path(__file__).parent / "two_rates_reference.json").read_text())


@pytest.mark.parametrize("case", REFERENCE, ids=lambda case: case["id"])
def test_reference_values_hold(case):
    answer = power.rates(**case["inputs"])
    assert answer.solved == case["solved"]
    assert getattr(answer, case["solved"]) == pytest.approx(case["value"], rel=case["rel"])


def test_an_answer_carries_every_argument():
    answer = power.rates(rate=0.05, ratio=0.75, n=300, exposure=12)
    assert (answer.n_control, answer.exposure, answer.alpha, answer.side) == (300, 12, 0.05, "decrease")


def test_an_increase_is_solved_on_its_own_side():
    answer = power.rates(rate=0.05, n=300, exposure=12, power=0.8, side="increase")
    assert answer.ratio > 1
    assert power.rates(rate=0.05, ratio=answer.ratio, n=300, exposure=12).power == pytest.approx(0.8)


def test_few_events_are_told():
    assert "below 40" in power.rates(rate=0.01, ratio=0.5, n=100, exposure=12).warning
    assert power.rates(rate=0.05, ratio=0.75, n=300, exposure=12).warning == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate": 0.05, "ratio": 0.75}, "exactly one"),
        ({"rate": 0.05, "ratio": 0.75, "n": 10, "power": 0.8}, "exactly one"),
        ({"rate": -1, "ratio": 0.75, "n": 10}, "rate must be a positive number"),
        ({"rate": 0.05, "ratio": 1, "power": 0.8}, "no effect"),
        ({"rate": 0.05, "ratio": 0.9, "n_control": 5, "power": 0.8}, "no number of treated units"),
        ({"rate": 0.001, "n": 3, "power": 0.99}, "no decrease reaches power"),
    ],
)
def test_questions_without_an_answer_are_refused(arguments, message):
    with pytest.raises(RctError, match=message):
        power.rates(**arguments)
