"""Distinct allocations and the smallest attainable p-value, against exact combinatorics of others."""

import json
from pathlib import Path

import pandas as pd
import pytest

from rct.randomization import randomize
from rct.randomization.accepted_set import smallest_share

REFERENCES = {
    item["id"]: item
    for item in json.loads(
        (Path(__file__).parent / "restriction_references.json").read_text(encoding="utf-8")
    )["items"]
}


def cases(kind):
    return [name for name in REFERENCES if name.startswith(f"attainable-p/{kind}/")]


def space_and_p(trial, roster):
    allocation = randomize(trial, roster, seed=1)
    return [allocation.space, allocation.smallest_p]


@pytest.mark.parametrize("case", cases("wedge"))
def test_a_wedge_reaches_one_over_the_number_of_its_orders(declared, officers, case):
    sizes = REFERENCES[case]["inputs"]["clusters_per_step"]
    trial = declared(f'kind = "stepped-wedge"\nperiods = {len(sizes) + 1}\nbaseline = 1\nper_step = {sizes}')
    assert space_and_p(trial, officers(sum(sizes))) == pytest.approx(REFERENCES[case]["value"], rel=1e-12)


@pytest.mark.parametrize("case", cases("parallel"))
def test_a_parallel_trial_reaches_twice_that_where_its_arms_are_equal(declared, officers, case):
    inputs = REFERENCES[case]["inputs"]
    trial = declared(probabilities=f'[arms.probabilities]\nICAT = "{inputs["treated"]}/{inputs["clusters"]}"')
    expected = REFERENCES[case]["value"][:2]
    assert space_and_p(trial, officers(inputs["clusters"])) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("case", cases("pairs"))
def test_pairs_reach_two_over_two_to_their_number(declared, officers, case):
    pairs = REFERENCES[case]["inputs"]["pairs"]
    roster = officers(2 * pairs).assign(pair=[str(i // 2) for i in range(2 * pairs)])
    found = space_and_p(declared(block='["pair"]'), roster)
    assert found == pytest.approx(REFERENCES[case]["value"][:2], rel=1e-12)


@pytest.mark.parametrize("case", cases("stratified"))
def test_strata_multiply_and_mirror_only_when_every_one_is_halved(declared, officers, case):
    sizes = [stratum["clusters"] for stratum in REFERENCES[case]["inputs"]["strata"]]
    strata = [str(number) for number, size in enumerate(sizes) for _ in range(size)]
    found = space_and_p(declared(block='["stratum"]'), officers(sum(sizes)).assign(stratum=strata))
    assert found == pytest.approx(REFERENCES[case]["value"], rel=1e-12)


@pytest.mark.parametrize("case", cases("smallest-trial"))
def test_the_smallest_trials_that_can_reach_a_level_are_the_known_ones(declared, officers, case):
    alpha, (clusters, wedge, pairs) = REFERENCES[case]["inputs"]["alpha"], REFERENCES[case]["value"]
    for reached, change in ((True, 0), (False, -1)):
        n = clusters + 2 * change
        assert (space_and_p(declared(), officers(n))[1] <= alpha) is reached
        steps = wedge + change
        trial = declared(f'kind = "stepped-wedge"\nperiods = {steps + 1}\nbaseline = 1')
        assert (space_and_p(trial, officers(steps))[1] <= alpha) is reached
        roster = officers(2 * (pairs + change)).assign(
            pair=[str(i // 2) for i in range(2 * (pairs + change))]
        )
        assert (space_and_p(declared(block='["pair"]'), roster)[1] <= alpha) is reached


def test_complete_and_blocked_trials_reach_the_smallest_p_of_full_enumeration(declared, officers):
    trial = declared(probabilities='[arms.probabilities]\nICAT = "3/9"')
    reference = REFERENCES["p-values/complete-9-m3-ties/smallest-p"]["value"]
    assert space_and_p(trial, officers(9))[1] == pytest.approx(reference)
    inputs = REFERENCES["p-values/blocked-5-4-unequal/smallest-p"]["inputs"]
    counts = pd.Series(inputs["z"]).groupby(inputs["block"]).agg(["sum", "size"])
    shares = "\n".join(
        f'[[arms.probabilities.by_block]]\nside = "{side}"\nICAT = "{row["sum"]}/{row["size"]}"'
        for side, row in counts.iterrows()
    )
    trial = declared(block='["side"]', probabilities=shares)
    found = space_and_p(trial, officers(9).assign(side=inputs["block"]))[1]
    assert found == pytest.approx(REFERENCES["p-values/blocked-5-4-unequal/smallest-p"]["value"])


def test_a_restricted_set_mirrors_only_when_every_image_is_accepted(declared):
    full = [[0, 0, 1, 1], [0, 1, 0, 1], [1, 0, 1, 0], [1, 1, 0, 0]]
    as_draws = pd.DataFrame(full, dtype="int16").to_numpy()
    assert smallest_share(as_draws, [0, 1]) == 2 / 4
    assert smallest_share(as_draws[:3], [0, 1]) == 1 / 3
    assert smallest_share(as_draws[[0, 0, 3]], [0, 1]) == 1.0


def test_with_two_treatments_a_restricted_trial_holds_the_other_arm_fixed(declared):
    trial = declared(
        'kind = "parallel"\nperiods = 3\n[randomization]\nscheme = "constrained"\ncovariates = ["size"]\n'
        'keep = "1"',
        treatments='["A", "B"]',
    )
    roster = pd.DataFrame({"officer_id": list("abcdef"), "size": ["1", "2", "4", "9", "3", "8"]})
    free = declared(treatments='["A", "B"]')
    assert space_and_p(trial, roster) == space_and_p(free, roster)
