"""Whatever is edited in an allocation's folder is named by verify, and refused or harmless when read."""

import hashlib
import json

import pandas as pd
import pytest

from rct.errors import AllocationError, DataError, TrialError
from rct.randomization import Allocation, commit, randomize, verify

RESTRICTED = '\n[randomization]\nscheme = "constrained"\ncovariates = ["age"]\nkeep = 0.5\n'


@pytest.fixture
def roster():
    return pd.DataFrame(
        {
            "officer_id": [f"{i:03d}" for i in range(8)],
            "squad": [f"squad {i % 4}" for i in range(8)],
            "age": [str(30 + i) for i in range(8)],
        }
    )


@pytest.fixture
def folder(tmp_path, declared, roster):
    randomize(declared(randomize="squad"), roster, seed="public").write(tmp_path / "allocation")
    return tmp_path / "allocation"


@pytest.fixture
def restricted(tmp_path, declared, roster):
    trial = declared('kind = "parallel"\nperiods = 6' + RESTRICTED)
    randomize(trial, roster, seed="public").write(tmp_path / "restricted")
    return tmp_path / "restricted"


def certified(folder, spoil):
    certificate = json.loads((folder / "certificate.json").read_text(encoding="utf-8"))
    spoil(certificate)
    (folder / "certificate.json").write_text(json.dumps(certificate), encoding="utf-8")


def rewritten(file, change):
    lines = file.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join(change(lines)) + "\n", encoding="utf-8")


def test_a_changed_row_an_added_and_a_removed_unit_are_each_named(folder, roster):
    changed = roster.assign(squad=roster["squad"].where(roster["officer_id"] != "003", "squad 1"))
    assert verify(folder, changed).problems == ("squad was changed in the roster for 003: squad 3 → squad 1",)
    added = pd.concat([roster, pd.DataFrame([{"officer_id": "900", "squad": "squad 9", "age": "1"}])])
    assert verify(folder, added).problems == (
        "squad added to the roster: squad 9",
        "officer_id added to the roster: 900",
    )
    assert verify(folder, roster[roster["squad"] != "squad 2"]).problems == (
        "squad removed from the roster: squad 2",
        "officer_id removed from the roster: 002; 006",
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda lines: [f"{line},x" for line in lines],
            "the columns are .*probability, x; written were unit",
        ),
        (lambda lines: [lines[0], lines[1] + ",x", *lines[2:]], "row 2 has 7 cells, the header 6"),
        (lambda lines: [lines[0], *lines[:0:-1]], "rows were put in another order"),
        (lambda lines: [lines[0], lines[1].replace(",0.5", ",0.9"), *lines[2:]], "with probability 0.9"),
        (lambda lines: [lines[0], lines[1].replace("squad 0", '"squad 0"'), *lines[2:]], "written otherwise"),
        (lambda lines: [*lines, ""], "written otherwise"),
    ],
)
def test_every_edit_of_the_allocation_table_that_reading_refuses_is_named(folder, roster, change, message):
    rewritten(folder / "allocation.csv", change)
    with pytest.raises(AllocationError, match="differs from the certificate"):
        Allocation.read(folder)
    verdict = verify(folder, roster)
    assert not verdict.ok
    assert pd.Series(verdict.problems).str.contains(message).any()


def test_line_endings_of_the_allocation_table_change_nothing(folder, roster):
    table = folder / "allocation.csv"
    table.write_bytes(table.read_bytes().replace(b"\n", b"\r\n"))
    assert verify(folder, roster).ok
    assert Allocation.read(folder)


def test_an_edited_probability_is_found_under_a_restriction_too(restricted, roster):
    assert verify(restricted, roster).ok
    table = restricted / "allocation.csv"
    unit, *_, probability = table.read_text(encoding="utf-8").splitlines()[1].split(",")
    rewritten(table, lambda lines: [lines[0], lines[1].replace(f",{probability}", ",0.9"), *lines[2:]])
    assert verify(restricted, roster).problems == (
        f"allocation.csv, row 2: {unit} stands with probability 0.9, the certificate says {probability}",
    )


@pytest.mark.parametrize(
    "spoil",
    [
        lambda certificate: certificate["trial"].update(tables={}),
        *(
            lambda certificate, table=table: certificate["trial"]["tables"].update({table: "0" * 64})
            for table in ("units", "schedule")
        ),
        lambda certificate: certificate["trial"]["tables"].pop("arms"),
        lambda certificate: certificate["trial"]["tables"].update(randomization="0" * 64),
    ],
)
def test_an_edited_hash_of_a_design_table_is_a_problem_and_no_amendment(folder, roster, spoil):
    certified(folder, spoil)
    verdict = verify(folder, roster)
    assert any("hashes of the design's tables were edited" in problem for problem in verdict.problems)
    assert not {"units", "arms", "schedule", "randomization"} & {*verdict.amendments}
    alone = verify(folder / "certificate.json", roster)
    assert any("hashes of the design's tables were edited" in problem for problem in alone.problems)


def test_an_edited_name_is_found_although_another_table_was_amended(folder, roster):
    rewritten(folder / "trial.toml", lambda lines: [*lines, "alpha = 0.01"])
    certified(folder, lambda certificate: certificate["trial"].update(name="another"))
    verdict = verify(folder, roster)
    assert any("name or hash of the trial was edited" in problem for problem in verdict.problems)


@pytest.mark.parametrize("words", ["PRE-COMMITTED, proven", "{words}PRE-COMMITTED, proven\n", ""])
def test_a_readme_with_other_words_is_found(folder, roster, words):
    readme = folder / "README.txt"
    readme.write_text(words.format(words=readme.read_text(encoding="utf-8")), encoding="utf-8")
    (problem,) = verify(folder, roster).problems
    assert problem.startswith("README.txt in the folder was edited")


@pytest.mark.parametrize("name", ["allocation.csv", "schedule.csv", "README.txt", "roster.csv", "trial.toml"])
def test_a_file_that_is_not_utf8_is_a_named_problem(folder, roster, name):
    (folder / name).write_bytes((folder / name).read_bytes() + b"\xff\xfe")
    problems = verify(folder, roster).problems
    assert any(name in problem and "UTF-8" in problem for problem in problems)


def test_an_allocation_table_that_is_not_utf8_is_refused_when_read(folder):
    (folder / "allocation.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(AllocationError, match="byte 1 is not UTF-8"):
        Allocation.read(folder)


@pytest.mark.parametrize(
    "change",
    [{"sequence": 99999}, {"sequence": -1}, {"sequence": 10**30}, {"block": ["nowhere"]}, {"unit": "ghost"}],
)
def test_a_unit_that_does_not_fit_trial_and_roster_is_refused_when_read_and_named(folder, roster, change):
    certified(folder, lambda certificate: certificate["units"][0].update(change))
    with pytest.raises(AllocationError, match="names sequence|are not those of its roster"):
        Allocation.read(folder)
    assert not verify(folder, roster).ok


def nested_design(certificate):
    certificate["design"] = "[" * 200_000
    certificate["design_hash"] = hashlib.sha256(certificate["design"].encode()).hexdigest()


def test_deep_nesting_is_refused_by_name(folder, roster, tmp_path):
    (tmp_path / "copy.json").write_text("[" * 200_000, encoding="utf-8")
    with pytest.raises(AllocationError, match=r"copy.json: not readable as JSON"):
        verify(folder, roster, commitment=tmp_path / "copy.json")
    whole = (folder / "trial.toml").read_text(encoding="utf-8")
    (folder / "trial.toml").write_text("a = " + "[" * 100_000, encoding="utf-8")
    assert any("trial kept in the folder cannot be read" in each for each in verify(folder, roster).problems)
    with pytest.raises(TrialError, match="nested too deeply"):
        Allocation.read(folder)
    (folder / "trial.toml").write_text(whole, encoding="utf-8")
    certified(folder, nested_design)
    with pytest.raises(AllocationError, match="design cannot be read"):
        verify(folder, roster)
    (folder / "certificate.json").write_text("[" * 200_000, encoding="utf-8")
    for reading in (lambda: verify(folder, roster), lambda: Allocation.read(folder)):
        with pytest.raises(AllocationError, match="not readable as JSON"):
            reading()


@pytest.mark.parametrize(
    ("ids", "shown"),
    [
        (["1.0", "2", "3", "4"], "1.0 in row 2"),
        (["1", "2.00", "3.0", "4"], "2.00 in row 3; 3.0 in row 4"),
        (["1.0", "2.0", "3.0", "4.0"], "1.0 in row 2; 2.0 in row 3"),
    ],
)
@pytest.mark.parametrize("act", [lambda *given: randomize(*given, seed=1), lambda *given: commit(
    *given, source="state lottery", round="7"
)])  # fmt: skip
def test_ids_that_a_spreadsheet_turned_into_decimals_are_not_randomized(declared, ids, shown, act):
    with pytest.raises(DataError, match=f"ids in officer_id are decimal numbers: {shown}") as refused:
        act(declared(), pd.DataFrame({"officer_id": ids}))
    assert "Write every id as text" in str(refused.value)


def test_names_of_randomized_units_that_became_decimals_are_refused_too(declared, roster):
    with pytest.raises(DataError, match="ids in squad are decimal numbers"):
        randomize(declared(randomize="squad"), roster.assign(squad=["1.0", "2"] * 4), seed=1)


@pytest.mark.parametrize("ids", [["v1.0", "1.0", "2"], ["1.5", "2.0", "3"], ["A-1.0", "7", "8"]])
def test_ids_that_are_no_column_of_numbers_stay_legal(declared, ids):
    allocation = randomize(declared(), pd.DataFrame({"officer_id": ids}), seed=1)
    assert sorted(allocation.frame["unit"]) == sorted(ids)


def test_a_row_edited_below_a_blank_line_is_named_as_a_spreadsheet_numbers_it(folder, roster):
    file = folder / "allocation.csv"
    lines = file.read_text().splitlines(keepends=True)
    unit = lines[1].split(",")[0]
    file.write_text("".join([lines[0], "\n", lines[1].replace(unit, "squad 9", 1), *lines[2:]]))
    said = "allocation.csv, row 3: squad 9 stands twice, or is not certified"
    assert said in verify(folder, roster).problems
