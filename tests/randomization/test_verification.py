import hashlib
import json
import re

import pandas as pd
import pytest

import rct
from rct.errors import AllocationError, DataError
from rct.randomization import randomize, verify

WEDGE = 'kind = "stepped-wedge"\nperiods = 12\nbaseline = 3\nper_step = 2'


@pytest.fixture
def roster():
    return pd.DataFrame(
        {
            "officer_id": [f"{i:03d}" for i in range(24)],
            "squad": [f"squad {i % 12}" for i in range(24)],
            "district": [str(1 + i % 2) for i in range(24)],
            "age": "40",
        }
    )


@pytest.fixture
def folder(tmp_path, declared, roster):
    trial = declared(WEDGE, block='["district"]', randomize="squad")
    randomize(trial, roster, seed="public").write(tmp_path / "allocation")
    return tmp_path / "allocation"


def edited(path, old, new, times=1):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, times), encoding="utf-8")


def test_an_honest_folder_its_certificate_file_and_its_object_verify(folder, roster):
    certificate = json.loads((folder / "certificate.json").read_text())
    for given in (folder, folder / "certificate.json", certificate):
        verdict = verify(given, roster.sample(frac=1, random_state=1).assign(age="41"))
        assert verdict.ok
        assert verdict.level == "reproducible"


def test_a_changed_row_is_named_with_both_values(folder, roster):
    roster.loc[3, "squad"] = "squad 5"
    verdict = verify(folder, roster)
    assert not verdict.ok
    assert verdict.problems == ("squad was changed in the roster for 003: squad 3 → squad 5",)


def test_a_changed_block_is_named_from_the_certificate_alone(folder, roster):
    roster.loc[roster["squad"] == "squad 3", "district"] = "1"
    verdict = verify(folder / "certificate.json", roster)
    assert verdict.problems == ("the block was changed in the roster for squad 3: 2 → 1",)


def test_a_row_moved_between_squads_is_found_from_the_certificate_alone(folder, roster):
    roster.loc[3, "squad"] = "squad 5"
    (problem,) = verify(folder / "certificate.json", roster).problems
    assert "at least one row differs, of 24 then and 24 now" in problem


def test_added_and_removed_units_are_named(folder, roster):
    changed = roster[roster["squad"] != "squad 3"]
    extra = pd.DataFrame([{"officer_id": "999", "squad": "squad X", "district": "1", "age": "4"}])
    problems = verify(folder, pd.concat([changed, extra])).problems
    assert "squad removed from the roster: squad 3" in problems
    assert "squad added to the roster: squad X" in problems
    assert "officer_id removed from the roster: 003; 015" in problems


@pytest.mark.parametrize("spoil", [lambda i: str(int(i)), lambda i: f"{i}.0"])
def test_ids_that_lost_their_zeros_or_gained_a_decimal_are_said_so(folder, roster, spoil):
    problems = verify(folder, roster.assign(officer_id=roster["officer_id"].map(spoil))).problems
    assert len(problems) == 1
    assert 'differ only by leading zeros or a ".0": 000 is now' in problems[0]


def test_another_seed_is_named_as_the_cause(folder, roster):
    edited(folder / "certificate.json", '"seed": "public"', '"seed": "other"')
    (problem,) = verify(folder, roster).problems
    assert problem.startswith('seed or result was changed: the seed "other"')


def test_a_result_edited_in_certificate_and_table_alike_is_found(folder, roster):
    certificate = json.loads((folder / "certificate.json").read_text())
    certificate["units"][0]["sequence"] += 1
    (folder / "certificate.json").write_text(json.dumps(certificate))
    problems = verify(folder, roster).problems
    assert any("for 1 of 12 units (squad 0:" in problem for problem in problems)
    assert any(problem.startswith("allocation.csv, row 2: squad 0 stands with") for problem in problems)


def test_counts_edited_in_the_certificate_are_found(folder, roster):
    certificate = json.loads((folder / "certificate.json").read_text())
    certificate["blocks"][0]["shares"] = ["1/2", "1/4", "1/4"]
    assert verify(certificate, roster).problems == (
        "the certificate's counts or shares by block were edited",
    )


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda c: c["units"].pop(), "for 1 of 11 units|for 1 of 12 units"),
        (
            lambda c: c["units"].append({"unit": "ghost", "block": ["1"], "sequence": 0}),
            "ghost: 0, but the seed",
        ),
        (lambda c: c["units"][0].update(block=["2"]), "units were put in another order, or their blocks"),
        (lambda c: c.update(does_not_prove="nothing"), "words on what it proves were edited"),
    ],
)
def test_every_other_edit_of_the_certificate_is_found_too(folder, roster, spoil, message):
    certificate = json.loads((folder / "certificate.json").read_text())
    spoil(certificate)
    (folder / "certificate.json").write_text(json.dumps(certificate))
    problems = "\n".join(verify(folder, roster).problems)
    assert re.search(message, problems)


def test_an_edited_row_of_the_allocation_table_is_named(folder, roster):
    edited(folder / "allocation.csv", "squad 2,1,", "squad 2,2,")
    (problem,) = verify(folder, roster).problems
    assert problem == "allocation.csv, row 6: squad 2 stands with block 2, the certificate says 1"


def test_an_edited_schedule_and_an_edited_roster_in_the_folder_are_named(folder, roster):
    edited(folder / "schedule.csv", "0,4,ICAT,1.0", "0,4,ICAT,0.0")
    edited(folder / "roster.csv", "squad 3", "squad 5")
    assert verify(folder, roster).problems == (
        "schedule.csv in the folder was edited: it differs from the certificate's design",
        "roster.csv in the folder was edited: it is not the roster in the certificate",
    )


def test_a_missing_file_is_named(folder, roster):
    (folder / "schedule.csv").unlink()
    assert verify(folder, roster).problems == ("schedule.csv is missing from the folder",)


def test_an_edit_of_what_the_randomization_rests_on_fails_and_is_named(folder, roster):
    edited(folder / "trial.toml", "baseline = 3", "baseline = 4")
    verdict = verify(folder, roster)
    assert verdict.problems == (
        "trial.toml in the folder: the randomization rests on schedule.baseline, which was edited: 3 → 4",
    )
    assert verdict.amendments == ()


def test_an_edit_elsewhere_in_the_kept_trial_is_an_amendment_table_by_table(folder, roster):
    edited(folder / "trial.toml", 'primary = "poisson"', 'primary = "poisson"\nalpha = 0.01')
    edited(folder / "trial.toml", 'name = "small"', 'name = "renamed"')
    verdict = verify(folder, roster)
    assert verdict.ok
    assert verdict.amendments == ("name", "analysis")


def test_an_edited_label_of_an_arm_is_an_amendment_for_no_hash_rests_on_it(tmp_path, declared, roster):
    trial = declared(WEDGE, randomize="squad", treatments='[{name = "ICAT", label = "Integrating"}]')
    randomize(trial, roster, seed=1).write(tmp_path / "labelled")
    edited(tmp_path / "labelled" / "trial.toml", "Integrating", "De-escalation")
    verdict = verify(tmp_path / "labelled", roster)
    assert verdict.ok
    assert verdict.amendments == ("arms",)


def test_a_design_edited_inside_the_certificate_no_longer_has_its_hash(folder, roster):
    certificate = json.loads((folder / "certificate.json").read_text())
    certificate["design"] = certificate["design"].replace('"baseline":3', '"baseline":4')
    assert "design was edited" in verify(certificate, roster).problems[0]


def test_what_is_no_certificate_and_a_roster_without_its_columns_are_errors(folder, roster, tmp_path):
    with pytest.raises(AllocationError, match="no certificate .* knows: mechanism is missing"):
        verify({"format": 1}, roster)
    with pytest.raises(AllocationError, match="no such file"):
        verify(tmp_path / "nowhere", roster)
    with pytest.raises(AllocationError, match="no commitment that this version knows"):
        verify(folder, roster, commitment={})
    with pytest.raises(DataError, match='no column "squad"'):
        verify(folder, roster.drop(columns="squad"))


FACTS = {
    "measured_units": (25, "number of measured units was edited: it says 25, its roster has 24"),
    "mechanism": ("simple", "mechanism was edited: it says simple, its design keyed-order"),
    "roster_hash": ("0" * 64, "the roster is not the one that was randomized"),
    "level": ("pre-committed", "calls itself pre-committed, but its commitment or its value is missing"),
}


@pytest.mark.parametrize("key", FACTS)
def test_an_edited_fact_of_the_certificate_is_found(folder, roster, key):
    value, message = FACTS[key]
    certificate = json.loads((folder / "certificate.json").read_text())
    assert any(message in problem for problem in verify({**certificate, key: value}, roster).problems)


@pytest.mark.parametrize("key", ["hash", "name"])
def test_an_edited_name_or_hash_of_the_trial_is_found_against_the_kept_trial(folder, roster, key):
    certificate = json.loads((folder / "certificate.json").read_text())
    certificate["trial"][key] = "another"
    (folder / "certificate.json").write_text(json.dumps(certificate))
    (problem,) = verify(folder, roster).problems
    assert "certificate's name or hash of the trial was edited" in problem


def test_a_renamed_arm_with_a_new_design_hash_no_longer_gives_the_result(folder, roster):
    certificate = json.loads((folder / "certificate.json").read_text())
    certificate["design"] = certificate["design"].replace("ICAT", "T3")
    certificate["design_hash"] = hashlib.sha256(certificate["design"].encode()).hexdigest()
    assert verify(certificate, roster).problems[0].startswith("seed or result was changed")


def test_a_renamed_arm_is_named_in_the_table_and_in_the_kept_trial(folder, roster):
    edited(folder / "allocation.csv", "ICAT", "T3")
    edited(folder / "trial.toml", '"ICAT"', '"T3"')
    problems = verify(folder, roster).problems
    assert any("stands with arm T3, the certificate says ICAT" in problem for problem in problems)
    assert any("arms.treatments, which was edited" in problem for problem in problems)


def test_an_edited_probability_swapped_rows_and_an_added_row_of_the_table_are_found(folder, roster):
    table = folder / "allocation.csv"
    header, first, second, *rest = table.read_text(encoding="utf-8").splitlines()
    unit, block, *others, _ = first.split(",")
    for lines, message in (
        ([",".join([unit, block, *others, "0.9"]), second, *rest], "stands with probability 0.9"),
        ([second, first, *rest], "rows were put in another order"),
        ([first, second, *rest, "ghost,1,0,ICAT,4,0.5"], "ghost stands twice, or is not certified"),
    ):
        table.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        assert any(message in problem for problem in verify(folder, roster).problems)


def test_an_edited_hash_of_the_arms_alone_is_no_amendment(folder, roster):
    certificate = json.loads((folder / "certificate.json").read_text())
    certificate["trial"]["tables"]["arms"] = "0" * 64
    (folder / "certificate.json").write_text(json.dumps(certificate))
    (problem,) = verify(folder, roster).problems
    assert "hashes of the trial's tables were edited: arms" in problem


@pytest.mark.parametrize("name", ["allocation.csv", "schedule.csv", "roster.csv", "trial.toml", "README.txt"])
def test_a_file_that_is_missing_from_the_folder_is_named(folder, roster, name):
    (folder / name).unlink()
    assert f"{name} is missing from the folder" in verify(folder, roster).problems


def test_an_edited_readme_that_claims_more_is_found(folder, roster):
    edited(folder / "README.txt", "The seed was typed.", "Nothing.")
    (problem,) = verify(folder, roster).problems
    assert "README.txt in the folder was edited" in problem


def test_bytes_that_are_no_text_and_numbers_that_are_no_sequence_are_named(tmp_path):
    trial = rct.load("louisville_icat")
    names = [f"Division {number}" for number in range(1, 10)]
    roster = pd.DataFrame({"officer_id": names, "division": names})
    allocation = rct.randomize(trial, roster, seed=1)
    allocation.write(tmp_path / "bytes")
    (tmp_path / "bytes" / "allocation.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(rct.AllocationError, match="differs from the certificate"):
        rct.Allocation.read(tmp_path / "bytes")
    assert not rct.verify(tmp_path / "bytes", roster).ok
    allocation.write(tmp_path / "sequence")
    certificate = tmp_path / "sequence" / "certificate.json"
    content = json.loads(certificate.read_text())
    content["units"][0]["sequence"] = 99999
    certificate.write_text(json.dumps(content))
    with pytest.raises(rct.AllocationError, match="names sequence 99999"):
        rct.Allocation.read(tmp_path / "sequence")
    assert not rct.verify(tmp_path / "sequence", roster).ok
    (tmp_path / "sequence" / "schedule.csv").write_bytes(b"\xff")
    assert not rct.verify(tmp_path / "sequence", roster).ok
