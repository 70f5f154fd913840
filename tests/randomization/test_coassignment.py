import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rct.analysis import notes
from rct.randomization import co_assignment, randomize, restriction_notes

REFERENCES = {
    item["id"]: item
    for item in json.loads(
        (Path(__file__).parent / "restriction_references.json").read_text(encoding="utf-8")
    )["items"]
}
RULE = (
    '\n[randomization]\nscheme = "constrained"\ncovariates = {covariates}\nkeep = {keep}\nmetric = "{metric}"'
)


def roster_of(inputs):
    table = zip(*inputs["covariates"], strict=True)
    columns = {name: [str(v) for v in values] for name, values in zip(inputs["columns"], table, strict=True)}
    return pd.DataFrame({"officer_id": [f"u{i:02d}" for i in range(len(inputs["covariates"]))], **columns})


@pytest.fixture
def restricted(declared):
    def allocate(case, **keys):
        inputs = REFERENCES[case]["inputs"]
        rule = {
            "covariates": json.dumps(inputs["columns"]), "keep": inputs["cutoff"], "metric": inputs["metric"]
        }  # fmt: skip
        trial = declared('kind = "parallel"\nperiods = 6' + RULE.format(**rule | keys))
        return randomize(trial, roster_of(inputs), seed=1)

    return allocate


@pytest.mark.parametrize("case", ["constrained/8x2-l2", "constrained/10x3-l1"])
def test_units_go_together_as_often_as_by_full_enumeration_elsewhere(restricted, case):
    reference = REFERENCES[f"{case}/same-arm"]
    found = co_assignment(restricted(f"{case}/cutoff-score"))
    np.testing.assert_allclose(found, reference["value"], atol=1e-12)


def test_without_a_restriction_co_assignment_is_that_of_all_draws(declared, officers):
    trial = declared(block='["side"]', probabilities="[arms.probabilities]\nICAT = 0.3")
    allocation = randomize(trial, officers(9).assign(side=["a"] * 5 + ["b"] * 4), seed=1)
    draws = allocation.draws("exact")
    expected = (draws[:, :, None] == draws[:, None, :]).mean(axis=0)
    np.testing.assert_allclose(co_assignment(allocation), expected, atol=1e-12)


def test_units_drawn_one_by_one_go_together_by_the_product_of_their_shares(declared, officers):
    trial = declared(
        'kind = "parallel"\nperiods = 3\n[randomization]\nscheme = "simple"',
        probabilities="[arms.probabilities]\nICAT = 0.25",
    )
    found = co_assignment(randomize(trial, officers(3), seed=1))
    np.testing.assert_allclose(found, np.full((3, 3), 0.625) + 0.375 * np.eye(3))


def test_a_restriction_that_keeps_units_apart_is_said_so_by_check(restricted):
    allocation = restricted("constrained/8x2-l2/cutoff-score")
    (note,) = restriction_notes(allocation)
    assert note.startswith("The restriction leaves 2 pairs of units (almost) always apart: u00 and u04; u02")
    assert note in notes(allocation.trial, allocation)


def test_a_restriction_to_one_allocation_and_its_mirror_is_told_to_reach_nothing(restricted):
    allocation = restricted("constrained/8x2-l2/cutoff-score", keep=1)
    assert (allocation.space, allocation.smallest_p) == (2, 1.0)
    told = " ".join(notes(allocation.trial, allocation))
    assert "always together" in told
    assert "cannot reach significance at 0.05: with 2 distinct" in told
    assert "Keep more candidates, or randomize more units." in told


def test_a_probability_that_left_its_target_is_named(declared):
    trial = declared(
        'kind = "parallel"\nperiods = 3' + RULE.format(covariates='["size"]', keep="1", metric="l2"),
        probabilities='[arms.probabilities]\nICAT = "1/3"',
    )
    roster = pd.DataFrame({"officer_id": ["a", "b", "c"], "size": ["1", "2", "9"]})
    told = restriction_notes(randomize(trial, roster, seed=1))
    assert "b, sequence 1: 1.00 instead of 0.33" in told[-1]


def test_an_unrestricted_allocation_has_nothing_to_note(declared, officers):
    assert restriction_notes(randomize(declared(), officers(4), seed=1)) == ()
