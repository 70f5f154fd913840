import unicodedata

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rct
from rct.errors import AllocationError
from rct.invisible_characters import invisible_in
from rct.randomization import Allocation, randomize, read_roster, verify
from rct.trial import Trial

PARALLEL = """
format = 1
name = "parallel"
[units]
randomize = "officer_id"
measure = "officer"
id = "officer_id"
[arms]
control = "usual"
treatments = ["ICAT"]
[schedule]
kind = "parallel"
periods = 6
[[outcomes]]
name = "force"
primary = true
[analysis]
primary = "poisson"
"""

IDS = st.lists(
    st.text(st.characters(blacklist_categories=("C", "Z")), min_size=1, max_size=6).filter(
        lambda text: not invisible_in(text)
    ),
    min_size=2,
    max_size=12,
    unique_by=lambda text: unicodedata.normalize("NFC", text),
)


def tables(allocation):
    return [allocation.frame, allocation.sequences, allocation.probabilities]


@given(ids=IDS, seed=st.text(min_size=1).filter(str.strip), order=st.randoms())
@settings(max_examples=60, deadline=None)
def test_row_order_and_extra_columns_never_change_an_allocation(ids, seed, order):
    trial = Trial.parse(PARALLEL)
    roster = pd.DataFrame({"officer_id": ids})
    shuffled = roster.sample(frac=1, random_state=order.randrange(2**31)).assign(rank="x", age=3.5)
    one, other = (randomize(trial, each, seed=seed) for each in (roster, shuffled))
    assert all(a.equals(b) for a, b in zip(tables(one), tables(other), strict=True))
    assert one.certificate == other.certificate


@given(ids=IDS, seed=st.one_of(st.integers(), st.binary(min_size=1)))
@settings(max_examples=30, deadline=None)
def test_every_honest_allocation_is_read_back_equal_and_verifies(ids, seed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("honest") / "allocation"
    roster = pd.DataFrame({"officer_id": ids})
    allocation = randomize(Trial.parse(PARALLEL), roster, seed=seed)
    allocation.write(folder)
    assert Allocation.read(folder) == allocation
    verdict = verify(folder, roster)
    assert (verdict.ok, verdict.problems, verdict.amendments) == (True, (), ())


def test_line_endings_of_the_roster_file_change_nothing(tmp_path, declared):
    rows = ["officer_id", *(f"{i:03d}" for i in range(9))]
    files = {end: tmp_path / f"{len(end)}.csv" for end in ("\n", "\r\n")}
    for end, file in files.items():
        file.write_bytes((end.join(rows) + end).encode())
    one, other = (randomize(declared(), read_roster(file), seed=3) for file in files.values())
    assert one == other


def test_a_cluster_is_randomized_as_one_and_all_its_officers_kept(declared, officers):
    trial = declared(randomize="squad")
    roster = officers(12).assign(squad=[f"squad {i % 4}" for i in range(12)])
    allocation = randomize(trial, roster, seed=1)
    assert allocation.frame["unit"].tolist() == ["squad 0", "squad 1", "squad 2", "squad 3"]
    assert sorted(allocation.frame["arm"]) == ["ICAT", "ICAT", "usual", "usual"]
    assert len(allocation.roster) == 12


def test_each_block_has_its_own_shares_by_name(declared, officers):
    trial = declared(
        block='["district"]',
        probabilities='[[arms.probabilities.by_block]]\ndistrict = "1"\nICAT = 0.25',
    )
    roster = officers(16).assign(district=["1"] * 8 + ["2"] * 8)
    allocation = randomize(trial, roster, seed=1)
    treated = allocation.frame[allocation.frame["arm"] == "ICAT"].groupby("block").size()
    assert treated.to_dict() == {"1": 2, "2": 4}
    assert set(allocation.probabilities[1].to_numpy().tolist()) == {0.25, 0.5}
    assert allocation.frame.query("arm == 'usual' and block == '1'")["probability"].tolist() == [0.75] * 6


def test_a_block_named_in_the_trial_but_not_in_the_roster_is_refused(declared, officers):
    trial = declared(
        block='["district"]', probabilities='[[arms.probabilities.by_block]]\ndistrict = "9"\nICAT = 0.25'
    )
    with pytest.raises(AllocationError, match="block 9, which no unit .* the blocks are 1"):
        randomize(trial, officers(4).assign(district="1"), seed=1)


def test_parallel_arms_have_a_sequence_each_and_doses_after_baseline_and_transition(declared, officers):
    trial = declared(
        'kind = "parallel"\nperiods = 4\nbaseline = 1\ntransition = 1',
        treatments='["one day", {name = "three days", dose = 3}]',
    )
    sequences = randomize(trial, officers(6), seed=1).sequences
    assert sequences["arm"].tolist() == ["usual"] * 4 + ["one day"] * 4 + ["three days"] * 4
    np.testing.assert_array_equal(sequences["dose"], [0, 0, 0, 0, 0, np.nan, 1, 1, 0, np.nan, 3, 3])


def test_a_wedge_crosses_in_groups_and_each_block_has_its_own_crossings(declared, officers):
    trial = declared(
        'kind = "stepped-wedge"\nperiods = 12\nbaseline = 3\nstep = 2\nper_step = 2', block='["side"]'
    )
    roster = officers(10).assign(side=["a"] * 6 + ["b"] * 4)
    frame = randomize(trial, roster, seed=1).frame
    counts = frame.groupby(["block", "starts"]).size().to_dict()
    assert counts == {("a", 4): 2, ("a", 6): 2, ("a", 8): 2, ("b", 4): 2, ("b", 6): 2}


def test_a_wedge_may_cross_another_number_at_each_step(declared, officers):
    trial = declared(
        'kind = "stepped-wedge"\nperiods = 6\nbaseline = 1\ntransition = 1\nper_step = [4, 3, 2]'
    )
    allocation = randomize(trial, officers(9), seed=1)
    assert allocation.frame.groupby("starts").size().to_dict() == {3: 4, 4: 3, 5: 2}
    # Exact combinatorics: 9! / (4! 3! 2!).
    assert allocation.space == 1260
    with pytest.raises(AllocationError, match=r"sum to 9, but the roster has 8 .* schedule\.per_step"):
        randomize(trial, officers(8), seed=1)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (
            'kind = "stepped-wedge"\nperiods = 12\nper_step = 3',
            "10 units of the roster do not cross in groups",
        ),
        ('kind = "stepped-wedge"\nperiods = 9\nbaseline = 2', "until period 12"),
        (
            'kind = "staggered"\nperiods = 9\nstarts = [3, 5]\nsizes = [4, 4]',
            "sum to 8, but the roster has 10",
        ),
        ('kind = "staggered"\nperiods = 9\nstarts = [3]\nsizes = [14]\nnever = true', "has 10 units"),
    ],
)
def test_a_schedule_that_does_not_fit_the_roster_is_refused_with_the_figures(
    declared, officers, schedule, message
):
    with pytest.raises(AllocationError, match=message):
        randomize(declared(schedule), officers(10), seed=1)


def test_staggered_classes_go_start_by_start_and_arm_by_arm_after_the_untreated(declared, officers):
    trial = declared(
        'kind = "staggered"\nperiods = 8\nstarts = [3, 5]\nsizes = [1, 2, 3, 1]\nnever = true',
        treatments='["A", "B"]',
    )
    frame = randomize(trial, officers(9), seed=1).frame
    got = frame.groupby("sequence").agg(arm=("arm", "first"), starts=("starts", "first"), n=("unit", "size"))
    assert got.to_numpy().tolist() == [["usual", 0, 2], ["A", 3, 1], ["B", 3, 2], ["A", 5, 3], ["B", 5, 1]]


def test_blocks_of_different_size_have_their_own_staggered_classes(declared, officers):
    trial = declared(
        'kind = "staggered"\nperiods = 8\nstarts = [3, 5]\nsizes = [2, 2]\n'
        '[[schedule.by_block]]\ndistrict = "2"\nstarts = [4]\nsizes = [2]\nnever = true',
        block='["district"]',
    )
    frame = randomize(trial, officers(7).assign(district=["1"] * 4 + ["2"] * 3), seed=1).frame
    counts = frame.groupby(["block", "starts"]).size().to_dict()
    assert counts == {("1", 3): 2, ("1", 5): 2, ("2", 0): 1, ("2", 4): 2}


def test_fewer_units_than_arms_are_refused(declared, officers):
    with pytest.raises(AllocationError, match="2 units to randomize .*fewer than the 3 arms"):
        randomize(declared(treatments='["A", "B"]'), officers(2), seed=1)


def test_without_a_seed_or_with_half_a_commitment_nothing_is_randomized(declared, officers):
    with pytest.raises(AllocationError, match="needs a seed"):
        randomize(declared(), officers(4))
    with pytest.raises(AllocationError, match="either a seed, or a commitment together with"):
        randomize(declared(), officers(4), seed=1, value="07 19")


def test_draws_have_the_declared_counts_and_the_stated_probabilities(declared, officers):
    trial = declared(block='["side"]', probabilities="[arms.probabilities]\nICAT = 0.3")
    allocation = randomize(trial, officers(14).assign(side=["a"] * 9 + ["b"] * 5), seed=1)
    draws = allocation.draws(4000, seed=1)
    assert set(draws[:, :9].sum(axis=1).tolist()) == {2, 3}
    assert set(draws[:, 9:].sum(axis=1).tolist()) == {1, 2}
    # Four standard deviations of a share of .3 over 4,000 draws.
    assert np.abs(draws.mean(axis=0) - 0.3).max() < 4 * (0.21 / 4000) ** 0.5


def test_the_space_of_a_wedge_of_nine_is_nine_factorial():
    trial = rct.load("louisville_icat")
    roster = pd.DataFrame({"officer_id": [str(i) for i in range(9)], "division": [f"D{i}" for i in range(9)]})
    allocation = randomize(trial, roster, seed=1)
    assert allocation.space == 362_880
    assert allocation.smallest_p == 1 / 362_880
    starts = allocation.starts(allocation.draws("exact"))
    assert starts.shape == (362_880, 9)
    assert (np.sort(starts, axis=1) == np.arange(13, 22)).all()
    assert len(np.unique(starts, axis=0)) == 362_880


@pytest.mark.parametrize(
    ("options", "units", "smallest"),
    [
        ({}, 6, 2 / 20),
        ({"schedule": 'kind = "stepped-wedge"\nperiods = 4\nbaseline = 1\nper_step = 2'}, 4, 2 / 6),
        ({"schedule": 'kind = "stepped-wedge"\nperiods = 4\nbaseline = 1\nper_step = 2'}, 6, 1 / 90),
        ({"probabilities": "[arms.probabilities]\nICAT = 0.25"}, 4, 1 / 4),
        ({"treatments": '["A", "B"]'}, 6, 2 / 6),
    ],
)
def test_the_smallest_p_doubles_where_every_allocation_has_a_mirror_image(
    declared, officers, options, units, smallest
):
    assert randomize(declared(**options), officers(units), seed=1).smallest_p == pytest.approx(smallest)


def test_arms_and_starts_are_views_of_draws(declared, officers):
    allocation = randomize(declared('kind = "parallel"\nperiods = 4\nbaseline = 2'), officers(4), seed=1)
    draws = np.array([[0, 1, 1, 0]], dtype=np.int16)
    assert allocation.arms(draws).tolist() == [["usual", "ICAT", "ICAT", "usual"]]
    assert allocation.starts(draws).tolist() == [[0, 3, 3, 0]]


def test_random_draws_need_a_seed(declared, officers):
    with pytest.raises(AllocationError, match="need a seed"):
        randomize(declared(), officers(4), seed=1).draws(9)


def test_a_folder_that_holds_anything_is_never_overwritten(tmp_path, declared, officers):
    allocation = randomize(declared(), officers(4), seed=1)
    allocation.write(tmp_path / "made")
    before = {file.name: file.read_bytes() for file in (tmp_path / "made").iterdir()}
    with pytest.raises(AllocationError, match="already holds an allocation"):
        randomize(declared(), officers(4), seed=2).write(tmp_path / "made")
    assert {file.name: file.read_bytes() for file in (tmp_path / "made").iterdir()} == before
    with pytest.raises(AllocationError, match="not an empty folder"):
        allocation.write(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["made"]


def test_an_empty_folder_may_be_written_to(tmp_path, declared, officers):
    (tmp_path / "empty").mkdir()
    allocation = randomize(declared(), officers(4), seed=1)
    allocation.write(tmp_path / "empty")
    assert Allocation.read(tmp_path / "empty") == allocation


def test_the_folder_says_in_plain_words_what_a_typed_seed_does_not_prove(tmp_path, declared, officers):
    randomize(declared(), officers(4), seed=1).write(tmp_path / "a")
    words = (tmp_path / "a" / "README.txt").read_text()
    assert "Level: reproducible" in words
    assert "could have searched" in words


def test_a_folder_edited_by_hand_is_not_read_as_if_it_were_whole(tmp_path, declared, officers):
    randomize(declared(), officers(4), seed=1).write(tmp_path / "a")
    table = tmp_path / "a" / "allocation.csv"
    table.write_text(table.read_text().replace("usual", "ICAT"))
    with pytest.raises(AllocationError, match=r"allocation\.csv differs"):
        Allocation.read(tmp_path / "a")
