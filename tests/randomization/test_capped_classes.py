"""No class empties a squad, every officer keeps exactly the class's share, and the law is the stated one."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

from rct.errors import AllocationError, DataError, TrialError
from rct.randomization import Allocation, randomize, verify
from rct.randomization.blocked_units import BlockedUnits
from rct.randomization.scheme_plans import assign

CAPPED = (
    'kind = "staggered"\nperiods = 6\nstarts = [2, 4]\nsizes = {sizes}\n{never}cap = {cap}\ncap_by = "squad"'
)
SEEDS = 20_000


def trial_of(declared, sizes="[2, 2]", cap=1, never="never = true\n", **given):
    return declared(CAPPED.format(sizes=sizes, cap=cap, never=never), **given)


@pytest.fixture
def six(officers):
    return officers(6).assign(squad=["a", "a", "b", "b", "c", "c"])


@pytest.fixture
def allocation(declared, six):
    return randomize(trial_of(declared), six, seed=1)


def rows(draws):
    return Counter(map(tuple, draws.tolist()))


def departure(counted, exact):
    total, drawn = sum(exact.values()), sum(counted.values())
    assert set(counted) <= set(exact)
    statistic = sum(
        (counted[row] - drawn * times / total) ** 2 / (drawn * times / total) for row, times in exact.items()
    )
    return float(chi2.sf(statistic, len(exact) - 1))


def test_no_allocation_of_the_space_breaks_the_cap_and_every_unit_has_its_exact_shares(allocation):
    space = allocation.draws("exact")
    for sequence in (1, 2):
        in_class = (space == sequence).reshape(len(space), 3, 2).sum(axis=2)
        assert in_class.max() == 1
    np.testing.assert_allclose(np.mean(space[:, :, None] == np.arange(3), axis=0), 1 / 3)
    assert allocation.space == len(rows(space))


def test_keyed_seeds_attain_the_exact_law_of_whole_allocations(allocation):
    blocked = BlockedUnits.of(dict.fromkeys(allocation.frame["unit"], ()))
    counted: Counter = Counter()
    for seed in range(SEEDS):
        given = assign(f"lottery {seed}", allocation.trial.design_hash, blocked, allocation.plan)
        counted[tuple(given.tolist())] += 1
    assert departure(counted, rows(allocation.draws("exact"))) > 1e-4


def test_draws_attain_the_exact_law_of_whole_allocations(allocation):
    assert departure(rows(allocation.draws(SEEDS, seed=5)), rows(allocation.draws("exact"))) > 1e-4


def test_two_officers_of_one_squad_meet_in_a_class_never_and_of_two_squads_sometimes(allocation):
    space = allocation.draws("exact")
    together = [(space[:, 0] == space[:, other]).mean() for other in (1, 2)]
    assert together[0] == 0
    assert together[1] > 0


def test_squads_of_any_size_in_blocks_keep_the_cap_in_every_draw(declared, officers):
    squads = ["a"] * 7 + ["b"] * 4 + ["c"] * 9 + ["d"] * 8 + ["e"] * 2
    roster = officers(30).assign(squad=squads, side=["x"] * 20 + ["y"] * 10)
    schedule = CAPPED.format(sizes="[5, 5]", cap=4, never="never = true\n")
    trial = declared(schedule + '\n[[schedule.by_block]]\nside = "y"\nsizes = [3, 4]', block='["side"]')
    draws = randomize(trial, roster, seed=1).draws(2000, seed=1)
    for squad in set(squads):
        mine = draws[:, np.array(squads) == squad]
        assert max((mine == sequence).sum(axis=1).max() for sequence in (1, 2)) <= 4
    assert ((draws[:, :20] == 1).sum(axis=1) == 5).all()
    assert ((draws[:, 20:] == 2).sum(axis=1) == 4).all()


def test_a_squad_that_some_draw_would_empty_is_refused_whatever_the_seed(declared, officers):
    roster = officers(6).assign(squad=["a", "a", "a", "a", "b", "c"])
    with pytest.raises(AllocationError, match="squad a has 4 units, of whom 2 could fall .* period 2"):
        randomize(trial_of(declared), roster, seed=1)


def test_the_squad_is_fixed_by_the_certificate(declared, six, tmp_path):
    allocation = randomize(trial_of(declared), six, seed=1)
    allocation.write(tmp_path / "made")
    assert Allocation.read(tmp_path / "made") == allocation
    assert verify(tmp_path / "made", six.iloc[::-1].assign(rank="x")).ok
    moved = six.assign(squad=["a", "b", "a", "b", "c", "c"])
    assert any("squad was changed" in problem for problem in verify(tmp_path / "made", moved).problems)


def test_a_squad_in_two_blocks_is_refused(declared, six):
    trial = trial_of(declared, sizes="[1, 1]", block='["side"]')
    with pytest.raises(DataError, match="squad a lies in several blocks"):
        randomize(trial, six.assign(side=["x", "y", "y", "y", "x", "x"]), seed=1)


def test_roster_order_changes_nothing(declared, six):
    one, other = (
        randomize(trial_of(declared), six.iloc[order], seed=2) for order in ([*range(6)], [5, 3, 1, 0, 2, 4])
    )
    assert one.certificate == other.certificate
    pd.testing.assert_frame_equal(one.frame, other.frame)


def test_many_capped_classes_are_counted_from_below(declared, officers):
    roster = officers(40).assign(squad=[f"{i % 8}" for i in range(40)])
    allocation = randomize(trial_of(declared, sizes="[10, 10]", cap=2), roster, seed=1)
    assert allocation.space > 10**9
    assert allocation.smallest_p < 1e-9
    with pytest.raises(AllocationError, match="more than the 2,000,000"):
        allocation.draws("exact")


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ('kind = "staggered"\nperiods = 6\nstarts = [2]\nsizes = [2]\ncap = 1', "go together"),
        ('kind = "parallel"\nperiods = 6\ncap = 1\ncap_by = "squad"', "belongs to a staggered schedule"),
    ],
)
def test_a_cap_that_means_nothing_is_refused(declared, schedule, said):
    with pytest.raises(TrialError, match=said):
        declared(schedule)
