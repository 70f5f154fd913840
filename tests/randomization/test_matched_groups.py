"""Matched groups: the optimal pairs of other programs, groups as an input, and what a verifier detects."""

import json
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from rct.errors import AllocationError, DataError, TrialError
from rct.randomization import Allocation, randomize, verify
from rct.randomization.matched_groups import greedy_groups, mahalanobis, optimal_pairs

MATCHED = (
    'kind = "parallel"\nperiods = 4\nbaseline = 2\n'
    '[randomization]\nscheme = "matched"\ncovariates = ["size", "rate"]\n'
)


@pytest.fixture
def squads():
    # The eight squads whose pairs R nbpMatching finds, listed in an order of their own.
    values = [[24, 11.5], [31, 9.2], [18, 14.1], [27, 8.7], [35, 12.3], [22, 10.0], [29, 15.6], [16, 7.9]]
    return pd.DataFrame(
        {
            "officer_id": [f"S{i}" for i in range(8)],
            "size": [str(size) for size, _ in values],
            "rate": [str(rate) for _, rate in values],
        }
    ).sample(frac=1, random_state=3)


def test_the_pairs_are_the_optimal_ones_and_one_of_each_is_treated(declared, squads):
    frame = randomize(declared(MATCHED), squads, seed=1).frame
    pairs = frame.groupby("block")["unit"].agg(list).to_dict()
    assert pairs == {"S0": ["S0", "S2"], "S1": ["S1", "S3"], "S4": ["S4", "S6"], "S5": ["S5", "S7"]}
    assert frame.groupby("block")["sequence"].agg(sorted).tolist() == [[0, 1]] * 4


def test_given_the_pairs_there_are_two_allocations_a_pair(declared, squads):
    allocation = randomize(declared(MATCHED), squads, seed=1)
    assert allocation.space == 16
    assert allocation.smallest_p == 1 / 8
    assert {tuple(row) for row in allocation.draws("exact").tolist()} == {
        tuple(row) for row in allocation.draws(2000, seed=1).tolist()
    }


def test_an_odd_squad_out_is_tossed_alone(declared, squads):
    allocation = randomize(declared(MATCHED), squads[squads["officer_id"] != "S7"], seed=1)
    assert sorted(allocation.frame.groupby("block").size()) == [1, 2, 2, 2]
    assert allocation.space == 16
    assert set(allocation.probabilities.to_numpy().ravel()) == {0.5}


def test_matching_keeps_within_blocks_and_averages_the_officers_of_a_squad(declared, squads):
    officers = pd.concat([squads, squads.assign(size=(squads["size"].astype(int) + 2).astype(str))])
    officers = officers.rename(columns={"officer_id": "squad"}).assign(
        officer_id=[f"{i:02d}" for i in range(16)],
        side=["a" if s < "S4" else "b" for s in officers["officer_id"]],
    )
    frame = randomize(declared(MATCHED, randomize="squad", block='["side"]'), officers, seed=1).frame
    assert frame.groupby("block")["unit"].agg(list).to_dict() == {
        "a/S0": ["S0", "S2"],
        "a/S1": ["S1", "S3"],
        "b/S4": ["S4", "S6"],
        "b/S5": ["S5", "S7"],
    }


def test_three_arms_make_groups_of_three(declared, squads):
    trial = declared(MATCHED, treatments='["A", "B"]')
    frame = randomize(trial, squads, seed=1).frame
    assert sorted(frame.groupby("block").size()) == [2, 3, 3]
    full = frame[frame.groupby("block")["unit"].transform("size") == 3]
    assert full.groupby("block")["sequence"].agg(sorted).tolist() == [[0, 1, 2]] * 2


def test_the_greedy_rule_starts_with_the_unit_farthest_from_all():
    line = np.array([[0.0], [1.0], [2.0], [10.0], [11.0]])
    distances = np.rint(abs(line - line.T)).astype(np.int64)
    assert greedy_groups(distances, size=2) == [(3, 4), (0, 1), (2,)]
    assert greedy_groups(distances, size=3) == [(2, 3, 4), (0, 1)]


def test_among_equally_good_pairings_the_order_of_the_roster_does_not_choose(declared):
    square = pd.DataFrame(
        {"officer_id": ["a", "b", "c", "d"], "size": ["0", "0", "1", "1"], "rate": ["0", "1", "0", "1"]}
    )
    blocks = {
        json.dumps(randomize(declared(MATCHED), square.sample(frac=1, random_state=i), seed=1).certificate)
        for i in range(6)
    }
    assert len(blocks) == 1


def test_optimal_pairs_never_lie_farther_apart_than_any_exchange_of_partners():
    values = np.random.default_rng(2).normal(size=(30, 2))
    distances = np.rint(mahalanobis(values) * 10**6).astype(np.int64)
    pairs = optimal_pairs(distances)
    for (a, b), (c, d) in pairwise(pairs):
        together = distances[a, b] + distances[c, d]
        assert together <= min(distances[a, c] + distances[b, d], distances[a, d] + distances[b, c])


def test_groups_are_read_back_and_verified_but_never_made_anew(declared, squads, tmp_path):
    allocation = randomize(declared(MATCHED), squads, seed=1)
    allocation.write(tmp_path / "made")
    assert Allocation.read(tmp_path / "made") == allocation
    assert verify(tmp_path / "made", squads.iloc[::-1]).ok


def regrouped(certificate, partners):
    """Give a certificate in which an evaluator put pairs of his own choice."""
    first = {unit: min(pair) for pair in partners for unit in pair}
    changed = json.loads(json.dumps(certificate))
    for unit in changed["units"]:
        unit["block"] = [first[unit["unit"]]]
    return changed


def test_pairs_of_the_evaluators_own_choice_are_detected(declared, squads):
    certificate = randomize(declared(MATCHED), squads, seed=1).certificate
    chosen = regrouped(certificate, [("S0", "S4"), ("S1", "S3"), ("S2", "S6"), ("S5", "S7")])
    assert "were not made by the rule" in verify(chosen, squads).problems[0]
    larger = regrouped(certificate, [("S0", "S2", "S4", "S6"), ("S1", "S3"), ("S5", "S7")])
    assert "of sizes that the design does not make" in verify(larger, squads).problems[0]


def test_a_covariate_changed_in_the_roster_is_named(declared, squads, tmp_path):
    randomize(declared(MATCHED), squads, seed=1).write(tmp_path / "made")
    other = squads.assign(rate=squads["rate"].replace("9.2", "9.3"))
    assert "rate was changed in the roster for S1: 9.2 → 9.3" in verify(tmp_path / "made", other).problems


@pytest.mark.parametrize(
    ("column", "error", "said"),
    [("many", DataError, '"many", no number'), ("7", AllocationError, "the same for all")],
)
def test_covariates_that_tell_nobody_apart_are_refused(declared, squads, column, error, said):
    with pytest.raises(error, match=said):
        randomize(declared(MATCHED), squads.assign(rate=column), seed=1)


def test_matching_without_covariates_is_refused(declared):
    with pytest.raises(TrialError, match="matched groups need covariates"):
        declared('kind = "parallel"\nperiods = 4\n[randomization]\nscheme = "matched"')
