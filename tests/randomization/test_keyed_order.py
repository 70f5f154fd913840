import json
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest

from rct.errors import AllocationError
from rct.randomization.keyed_order import (
    keyed,
    keyed_assignment,
    keyed_counts,
    scores,
    seed_text,
    systematic_counts,
)
from rct.trial_hash import sha256

VECTORS = json.loads((Path(__file__).parent / "allocation_vectors.json").read_text(encoding="utf-8"))
CASES = [pytest.param(case, id=case["name"]) for case in VECTORS["cases"]]


def blocks_of(case):
    blocks = {}
    for unit in case["units"]:
        blocks.setdefault(tuple(unit["block"]), []).append(unit["id"])
    return blocks


def shares_of(case, units):
    if case["sizes"]:
        return tuple(Fraction(size, units) for size in case["sizes"])
    return tuple(Fraction(share) for share in case["shares"])


@pytest.mark.parametrize("case", CASES)
def test_every_unit_of_a_vector_gets_the_sequence_that_python_and_javascript_agree_on(case):
    assigned = {}
    for block, members in blocks_of(case).items():
        shares, units = shares_of(case, len(members)), sorted(members)
        found = keyed_assignment(case["seed"], case["design_hash"], block, units=units, shares=shares)
        assigned |= dict(zip(units, found.tolist(), strict=True))
    assert assigned == case["sequence"]


@pytest.mark.parametrize("case", CASES)
def test_counts_first_score_and_design_hash_are_those_of_the_vector(case):
    first = case["units"][0]
    counts = {
        "/".join(block): list(
            keyed_counts(
                case["seed"],
                case["design_hash"],
                block,
                units=len(units),
                shares=shares_of(case, len(units)),
            )
        )
        for block, units in blocks_of(case).items()
    }
    assert counts == case["counts"]
    assert sha256(case["design"]) == case["design_hash"]
    (first_score,) = scores(case["seed"], case["design_hash"], tuple(first["block"]), [first["id"]])
    assert first_score.hex() == case["first_score"]


@pytest.mark.parametrize("seed", ["1", "s" * 64, "s" * 65, "a very long seed in Zürich " * 9])
def test_scores_hashed_together_are_those_hashed_alone(seed):
    units = ["7", "é", "x" * 300]
    alone = [keyed(seed, "design", "assign", ("North", "a"), unit) for unit in units]
    assert scores(seed, "design", ("North", "a"), units) == alone


def test_an_integer_seed_is_its_decimal_text_and_bytes_are_hexadecimal():
    assert seed_text(1) == seed_text("1") == "1"
    assert seed_text(b"\x00\xff") == "hex:00ff"
    assert seed_text("Jose\u0301") == "Jos\u00e9"


@pytest.mark.parametrize("seed", ["", "  ", True, 1.0, None])
def test_a_seed_that_nobody_could_type_again_is_refused(seed):
    with pytest.raises(AllocationError, match="seed"):
        seed_text(seed)


def test_left_over_places_are_given_exactly_in_proportion_to_the_fractional_parts():
    expected = [Fraction(33, 10), Fraction(27, 10), Fraction(4, 1)]
    got = Counter(systematic_counts(expected, Fraction(point, 10)) for point in range(10))
    assert got == {(4, 2, 4): 3, (3, 3, 4): 7}


def test_over_many_seeds_each_share_of_two_thirds_and_one_third_is_met_by_every_unit():
    shares = (Fraction(2, 3), Fraction(1, 3))
    units = [f"{i}" for i in range(4)]
    treated = Counter()
    for seed in range(3000):
        assigned = keyed_assignment(str(seed), "design", (), units=units, shares=shares)
        treated.update(unit for unit, sequence in zip(units, assigned, strict=True) if sequence == 1)
    # 3,000 fixed seeds; four standard deviations of a binomial share of one third.
    assert all(abs(treated[unit] - 1000) < 4 * (3000 * 2 / 9) ** 0.5 for unit in units)
    assert len(set(treated.values())) > 1
