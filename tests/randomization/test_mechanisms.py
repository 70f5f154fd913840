"""Every mechanism attains the law it states, joint probabilities included, by seeds and by draws."""

import hashlib
from collections import Counter
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

from rct.errors import TrialError
from rct.randomization import randomize, shift_cells, verify
from rct.randomization.allocation import Allocation
from rct.randomization.blocked_units import BlockedUnits
from rct.randomization.scheme_plans import assign

SEEDS = 20_000
SIMPLE = '[randomization]\nscheme = "simple"\n'
MATCHED = '[randomization]\nscheme = "matched"\ncovariates = ["size"]\n'
SHIFTS = 'kind = "shifts"\nstart = 2026-01-05\nperiod = "day"\nperiods = 2\nshifts = ["07:00", "19:00"]'
PARALLEL = 'kind = "parallel"\nperiods = 4\nbaseline = 2'
CROSSOVER = 'kind = "crossover"\nperiods = 4\nsequences = [["usual", "ICAT"], ["ICAT", "usual"]]'

CASES = {
    "complete, left-over places": {"units": 5, "probabilities": "probabilities = {ICAT = 0.3}"},
    "blocked, unequal": {
        "units": 6,
        "block": '["district"]',
        "probabilities": '[[arms.probabilities.by_block]]\ndistrict = "0"\nICAT = "1/3"',
    },
    "dose arms": {
        "units": 5,
        "treatments": '["one day", {name = "three days", dose = 3}]',
        "probabilities": 'probabilities = {"one day" = 0.3, "three days" = 0.2}',
    },
    "wedge": {"units": 4, "schedule": 'kind = "stepped-wedge"\nperiods = 5\nbaseline = 1'},
    "staggered": {
        "units": 5,
        "schedule": 'kind = "staggered"\nperiods = 5\nstarts = [2, 4]\nsizes = [2, 1]\nnever = true',
    },
    "simple": {"units": 4, "probabilities": "probabilities = {ICAT = 0.3}\n", "extra": SIMPLE},
    "simple, three arms": {"units": 3, "treatments": '["A", "B"]', "extra": SIMPLE},
    "crossover": {"units": 5, "schedule": CROSSOVER},
    "simple crossover": {"units": 4, "schedule": CROSSOVER, "extra": SIMPLE},
    "factorial": {"units": 6, "factors": '["A", "B"]'},
    "clustered": {"units": 8, "randomize": "squad"},
    "blocked, clustered": {
        "units": 12,
        "randomize": "squad",
        "block": '["district"]',
        "probabilities": "probabilities = {ICAT = 0.3}",
    },
    "matched pairs": {"units": 6, "extra": MATCHED},
    "shifts": {"units": 4, "schedule": SHIFTS, "block": '["shift"]'},
}


@pytest.fixture
def case(request, declared, officers):
    given = {**CASES[request.param]}
    units, extra = given.pop("units"), given.pop("extra", "")
    schedule = given.pop("schedule", PARALLEL) + "\n" + extra
    trial = declared(schedule, **given)
    if trial.schedule.kind == "shifts":
        return trial, shift_cells(trial)
    roster = officers(units).assign(
        district=[str(i % 2) for i in range(units)],
        squad=[f"s{i % (units // 2)}" for i in range(units)],
        size=[str(i * i) for i in range(units)],
    )
    return trial, roster


def departure(counted: Counter, exact: Counter) -> float:
    """Give the p-value of a chi-square test of drawn allocations against their exact probabilities."""
    total, drawn = sum(exact.values()), sum(counted.values())
    assert set(counted) <= set(exact)
    expected = {row: drawn * times / total for row, times in exact.items()}
    statistic = sum((counted[row] - mean) ** 2 / mean for row, mean in expected.items())
    return float(chi2.sf(statistic, len(exact) - 1))


def rows(draws) -> Counter:
    return Counter(map(tuple, draws.tolist()))


every_case = pytest.mark.parametrize("case", CASES, indirect=True)


@every_case
def test_the_exact_space_gives_every_unit_exactly_its_stated_probabilities(case):
    allocation = randomize(*case, seed=1)
    space = allocation.draws("exact")
    assert allocation.space == len(rows(space))
    for unit, stated in enumerate(allocation.probabilities.to_numpy()):
        shares = np.bincount(space[:, unit], minlength=len(stated)) / len(space)
        np.testing.assert_allclose(shares, stated, atol=1e-15)


@every_case
def test_keyed_seeds_attain_the_exact_law_of_whole_allocations(case):
    trial, roster = case
    allocation = randomize(trial, roster, seed=1)
    units = allocation.certificate["units"]
    blocked = BlockedUnits.of({unit["unit"]: tuple(unit["block"]) for unit in units})
    counted: Counter = Counter()
    for seed in range(SEEDS):
        given = assign(f"lottery {seed}", trial.design_hash, blocked, allocation.plan)
        counted[tuple(given.tolist())] += 1
    assert departure(counted, rows(allocation.draws("exact"))) > 1e-4


@every_case
def test_draws_attain_the_exact_law_of_whole_allocations(case):
    allocation = randomize(*case, seed=1)
    assert departure(rows(allocation.draws(SEEDS, seed=7)), rows(allocation.draws("exact"))) > 1e-4


@every_case
def test_an_allocation_is_written_read_and_verified(case, tmp_path):
    trial, roster = case
    allocation = randomize(trial, roster, seed="a lottery")
    allocation.write(tmp_path / "made")
    assert Allocation.read(tmp_path / "made") == allocation
    assert verify(tmp_path / "made", roster.iloc[::-1]).ok


@every_case
def test_the_smallest_p_value_is_that_of_the_least_probable_allocation(case):
    allocation = randomize(*case, seed=1)
    exact = rows(allocation.draws("exact"))
    if len(allocation.trial.arms.treatments) == 1:
        least = min(exact.values()) / sum(exact.values())
        assert allocation.smallest_p in (pytest.approx(least), pytest.approx(2 * least))


def test_crossover_sequences_are_ordered_by_first_treated_period_and_switch(declared, officers):
    trial = declared(CROSSOVER.replace("periods = 4", "periods = 6\ntransition = 1"))
    sequences = randomize(trial, officers(4), seed=1).sequences
    np.testing.assert_array_equal(
        sequences["dose"].to_numpy().reshape(2, 6), [[1, 1, 1, np.nan, 0, 0], [0, 0, 0, np.nan, 1, 1]]
    )


def test_a_simple_draw_does_not_depend_on_who_else_is_in_the_roster(declared, officers):
    trial = declared(PARALLEL + "\n" + SIMPLE)
    few, many = (randomize(trial, officers(n), seed=1).frame["arm"].tolist() for n in (5, 50))
    assert many[:5] == few


def test_simple_draws_follow_the_stretches_of_the_documented_number(declared, officers):
    trial = declared(PARALLEL + "\n" + SIMPLE, probabilities="probabilities = {ICAT = 0.3}")
    frame = randomize(trial, officers(20), seed="K").frame
    fields = ["rct/1", trial.design_hash, "assign", "", None]
    for unit, sequence in zip(frame["unit"], frame["sequence"], strict=True):
        message = b"".join(
            len(text.encode()).to_bytes(4, "big") + text.encode() for text in [*fields[:4], unit]
        )
        inner = hashlib.sha256(bytes(b ^ 0x36 for b in b"K".ljust(64, b"\0")) + message).digest()
        outer = hashlib.sha256(bytes(b ^ 0x5C for b in b"K".ljust(64, b"\0")) + inner).digest()
        assert sequence == (Fraction(int.from_bytes(outer[:8], "big"), 2**64) >= Fraction(7, 10))


def test_factors_make_an_arm_of_every_combination(declared, officers):
    trial = declared(PARALLEL, factors='["ICAT", "coaching"]')
    assert trial.arms.names == ("usual", "ICAT", "coaching", "ICAT + coaching")
    allocation = randomize(trial, officers(10), seed=1)
    # Exact combinatorics: any two of the four cells may have the third unit.
    assert allocation.space == 151_200
    assert sorted(allocation.frame["arm"].value_counts()) == [2, 2, 3, 3]


@pytest.mark.parametrize(
    ("schedule", "given", "said"),
    [
        ('kind = "stepped-wedge"\nperiods = 9\n' + SIMPLE, {}, "simple randomization draws every unit"),
        ('kind = "stepped-wedge"\nperiods = 9', {"factors": '["A", "B"]'}, "belong to a parallel trial"),
        (PARALLEL, {"factors": '["A"]'}, "2 to 5 names"),
        (
            PARALLEL,
            {"factors": '["A", "B"]', "probabilities": "probabilities = {A = 0.5}"},
            "leave treatments",
        ),
        (PARALLEL, {"treatments": ""}, "treatments is missing"),
        (PARALLEL + '\n[randomization]\nscheme = "dice"', {}, "built are"),
    ],
)
def test_what_a_scheme_cannot_carry_out_is_refused_with_the_reason(declared, schedule, given, said):
    with pytest.raises(TrialError, match=said):
        declared(schedule, **given)


def test_roster_order_and_columns_never_change_a_draw(declared, officers):
    for extra in ("", SIMPLE):
        trial = declared(PARALLEL + "\n" + extra)
        one = randomize(trial, officers(9), seed=3)
        other = randomize(trial, officers(9).sample(frac=1, random_state=1).assign(rank="x"), seed=3)
        assert one.certificate == other.certificate
        pd.testing.assert_frame_equal(one.frame, other.frame)
