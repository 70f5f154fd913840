from collections import Counter
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest

from rct.errors import AllocationError
from rct.randomization.random_draws import (
    all_draws,
    count_law,
    multiset_permutations,
    random_draws,
    smallest_probability,
    space_size,
)


def one_block(units, *shares):
    return [(np.arange(units), tuple(Fraction(share) for share in shares))]


# Reference probabilities: R randomizr 1.0.0 (R 4.2.2), complete_ra and block_ra, and exact combinatorics.
COUNT_LAWS = {
    "complete_ra(N = 7)": (7, ("1/2", "1/2"), [(3, 4, "1/2"), (4, 3, "1/2")]),
    "complete_ra(N = 11, prob = .35)": (11, ("13/20", "7/20"), [(7, 4, "17/20"), (8, 3, "3/20")]),
    "complete_ra(N = 10, prob_each = thirds)": (
        10,
        ("1/3", "1/3", "1/3"),
        [(3, 3, 4, "1/3"), (3, 4, 3, "1/3"), (4, 3, 3, "1/3")],
    ),
}


@pytest.mark.parametrize("call", COUNT_LAWS)
def test_counts_have_the_law_that_randomizr_gives_them(call):
    units, shares, expected = COUNT_LAWS[call]
    law = count_law(units, tuple(Fraction(share) for share in shares))
    assert law == [(tuple(row[:-1]), Fraction(row[-1])) for row in expected]


SPACES = {
    "complete, 4 of 10": (one_block(10, "3/5", "2/5"), 210),
    "complete, n = 7": (one_block(7, "1/2", "1/2"), 70),
    "complete, n = 11, prob .35": (one_block(11, "13/20", "7/20"), 495),
    "wedge of 4, one a step": (one_block(4, *["1/4"] * 4), 24),
    "wedge of 9 in steps of 4, 3, 2": (one_block(9, "4/9", "3/9", "2/9"), 1260),
    "wedge of strata 2, 2, 2 and 2, 1, 1": (
        [
            (np.arange(6), (Fraction(1, 3),) * 3),
            (np.arange(6, 10), (Fraction(1, 2), Fraction(1, 4), Fraction(1, 4))),
        ],
        1080,
    ),
}


@pytest.mark.parametrize("design", SPACES)
def test_the_space_has_as_many_allocations_as_randomizr_counts(design):
    blocks, size = SPACES[design]
    rows = {tuple(row) for row in all_draws(blocks).tolist()}
    assert space_size(blocks) == len(rows) == size


def test_in_the_exact_space_every_unit_has_exactly_its_shares():
    space = all_draws(one_block(11, "13/20", "7/20"))
    assert [Fraction(int(n), len(space)) for n in space.sum(axis=0)] == [Fraction(7, 20)] * 11


def test_two_units_are_treated_together_as_often_as_in_randomizr():
    space = all_draws(one_block(11, "13/20", "7/20"))
    together = {(int((space[:, i] & space[:, j]).sum()), len(space)) for i, j in combinations(range(11), 2)}
    assert [Fraction(*pair) for pair in together] == [Fraction(111, 1100)]


def test_a_likelier_allocation_stands_more_often_in_the_exact_space():
    rows = Counter(tuple(row) for row in all_draws(one_block(5, "3/10", "7/10")).tolist())
    # One or two of five in sequence 0 with probability 1/2 each: 5 and 10 allocations.
    assert {(row.count(0), times) for row, times in rows.items()} == {(1, 2), (2, 1)}
    assert smallest_probability(one_block(5, "3/10", "7/10")) == 1 / 20


def test_permutations_of_a_multiset_are_distinct_complete_and_in_lexicographic_order():
    rows = [tuple(row) for row in multiset_permutations((2, 1, 1)).tolist()]
    assert len(rows) == len(set(rows)) == 12
    assert rows == sorted(rows)
    assert all(Counter(row) == {0: 2, 1: 1, 2: 1} for row in rows)


def test_random_draws_visit_the_exact_space_in_proportion():
    blocks = one_block(5, "3/10", "7/10")
    drawn = Counter(tuple(row) for row in random_draws(blocks, n=20_000, seed=4).tolist())
    exact = Counter(tuple(row) for row in all_draws(blocks).tolist())
    total = sum(exact.values())
    chi2 = sum(
        (drawn[row] - 20_000 * times / total) ** 2 / (20_000 * times / total) for row, times in exact.items()
    )
    assert set(drawn) == set(exact)
    assert chi2 < 36.12  # .999 quantile of chi-square on 14 degrees of freedom


def test_draws_of_a_block_stay_in_its_columns():
    blocks = [(np.array([0, 3]), (Fraction(1), Fraction(0))), (np.array([1, 2]), (Fraction(0), Fraction(1)))]
    assert (random_draws(blocks, n=5, seed=1) == [0, 1, 1, 0]).all()


def test_draws_are_small_integers_and_the_same_for_the_same_seed():
    blocks = one_block(6, "1/2", "1/2")
    first, again, other = (random_draws(blocks, n=2500, seed=seed) for seed in (1, 1, 2))
    assert first.dtype == np.int16
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize(("units", "said"), [(30, "155,117,520"), (5000, "10\\^150")])
def test_a_space_too_large_to_enumerate_is_refused_with_its_size(units, said):
    with pytest.raises(AllocationError, match=said):
        all_draws(one_block(units, "1/2", "1/2"))
