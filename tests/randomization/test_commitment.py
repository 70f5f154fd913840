import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import rct
from rct.errors import AllocationError, DataError
from rct.randomization import LEVELS, Commitment, commit, randomize, verify

VECTOR = json.loads((Path(__file__).parent / "allocation_vectors.json").read_text(encoding="utf-8"))[
    "commitment"
]
DRAW = {"source": "state lottery, evening draw", "round": "2026-12-24"}
VALUE = "07 19 22 35 41"


@pytest.fixture
def roster(officers):
    return officers(12)


@pytest.fixture
def promised(declared, roster):
    return commit(declared(), roster, **DRAW)


@pytest.fixture
def folder(tmp_path, declared, roster, promised):
    randomize(declared(), roster, commitment=promised, value=VALUE).write(tmp_path / "allocation")
    return tmp_path / "allocation"


def edited(folder, **changes):
    file = folder / "certificate.json"
    certificate = json.loads(file.read_text(encoding="utf-8"))
    for key, value in changes.items():
        if value is None:
            del certificate[key]
        else:
            certificate[key] = value
    file.write_text(json.dumps(certificate), encoding="utf-8")


def test_the_bytes_and_the_seed_are_those_that_another_program_computed():
    trial = rct.load("louisville_icat")
    fields = json.loads(VECTOR["canonical"])
    roster = pd.DataFrame(VECTOR["roster"], columns=["officer_id", "division"])
    made = replace(commit(trial, roster, **DRAW, nonce=fields["nonce"]), design_hash=fields["design_hash"])
    assert made.canonical == VECTOR["canonical"]
    assert made.hash == VECTOR["commitment"]
    assert made.seed(VECTOR["beacon_value"]) == VECTOR["seed"]


def test_the_seed_is_that_of_the_commitment_and_the_value(declared, roster, promised):
    allocation = randomize(declared(), roster, commitment=promised, value=VALUE)
    certificate = allocation.certificate
    assert certificate["seed"] == promised.seed(VALUE)
    assert (certificate["level"], certificate["value"]) == ("pre-committed", VALUE)
    typed = randomize(declared(), roster, seed=promised.seed(VALUE))
    assert allocation.frame.equals(typed.frame)


def test_an_honest_folder_verifies_against_the_third_partys_copy(tmp_path, folder, roster, promised):
    promised.write(tmp_path / "copy.json")
    for copy in (tmp_path / "copy.json", promised, promised.record):
        verdict = verify(folder, roster, commitment=copy, value=VALUE)
        assert (verdict.ok, verdict.problems, verdict.level) == (True, (), "pre-committed")
        assert verdict.does_not_prove == LEVELS["pre-committed"][1]


def test_without_a_copy_or_the_value_the_verification_says_what_is_open(folder, roster):
    verdict = verify(folder, roster)
    assert (verdict.ok, verdict.level) == (True, "reproducible")
    assert "the certificate claims it" in verdict.does_not_prove
    assert f'That "{VALUE}" is what state lottery, evening draw published' in verdict.does_not_prove


def test_two_commitments_to_the_same_trial_differ_by_their_nonce(declared, roster):
    one, other = (commit(declared(), roster, **DRAW) for _ in range(2))
    assert one.hash != other.hash
    assert len(bytes.fromhex(one.nonce)) == 16


def test_a_commitment_is_read_back_equal_and_never_overwritten(tmp_path, promised):
    promised.write(tmp_path / "commitment.json")
    assert Commitment.read(tmp_path / "commitment.json") == promised
    with pytest.raises(AllocationError, match="never overwritten"):
        promised.write(tmp_path / "commitment.json")
    assert [file.name for file in tmp_path.iterdir()] == ["commitment.json"]


def test_a_pre_committed_allocation_is_read_back_equal(folder, declared, roster, promised):
    assert rct.Allocation.read(folder) == randomize(declared(), roster, commitment=promised, value=VALUE)


OTHER = "01 02 03 04 05"
REMADE = {
    "with a typed seed": (
        lambda _: {"seed": "another"},
        "seed of this certificate was typed: the folder was made again without the commitment",
    ),
    "with another commitment to the same draw": (
        lambda promised: {"commitment": replace(promised, nonce="0" * 32), "value": VALUE},
        "it has another nonce, so it was made at another time",
    ),
    "with another round": (
        lambda promised: {"commitment": replace(promised, round="2026-12-26"), "value": OTHER},
        "it names another round",
    ),
    "with another source": (
        lambda promised: {"commitment": replace(promised, source="a coin"), "value": VALUE},
        "it names another public source",
    ),
    "with another value": (
        lambda promised: {"commitment": promised, "value": OTHER},
        f'but the source published "{VALUE}": the folder was made with another value',
    ),
}


@pytest.mark.parametrize("how", REMADE)
def test_a_whole_folder_made_again_is_found_against_the_copy(how, tmp_path, declared, roster, promised):
    inputs, message = REMADE[how]
    again = tmp_path / "again"
    randomize(declared(), roster, **inputs(promised)).write(again)
    alone, found = verify(again, roster), verify(again, roster, commitment=promised, value=VALUE)
    assert (alone.ok, alone.level, found.level) == (True, "reproducible", "reproducible")
    assert any(message in problem for problem in found.problems)


def test_a_folder_of_another_trial_or_roster_is_found_against_the_copy(
    tmp_path, declared, officers, promised
):
    other = declared('kind = "parallel"\nperiods = 7')
    for name, trial, roster in (("trial", other, officers(12)), ("roster", declared(), officers(14))):
        randomize(trial, roster, commitment=commit(trial, roster, **DRAW), value=VALUE).write(tmp_path / name)
        (problem,) = verify(tmp_path / name, roster, commitment=promised).problems
        assert f"it is of another {name}" in problem


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"value": "01 02 03 04 05"}, "seed does not follow from the commitment and the value"),
        ({"value": " 07"}, "the certificate's value was edited"),
        ({"seed": "another"}, "seed does not follow from the commitment and the value"),
        ({"commitment": None}, "its commitment or its value is missing"),
        ({"value": None}, "its commitment or its value is missing"),
        ({"level": "reproducible"}, "calls itself reproducible, but holds a commitment"),
        ({"roster_hash": "0" * 64}, "the certificate's roster is not the one in its commitment"),
        ({"proves": "all"}, "words on what it proves were edited"),
    ],
)
def test_an_edited_pre_committed_certificate_is_found_without_a_copy(folder, roster, changes, message):
    edited(folder, **changes)
    assert any(message in problem for problem in verify(folder, roster).problems)


def test_an_edited_commitment_in_the_certificate_is_found(folder, roster, promised):
    beacon = {**promised.record["beacon"], "round": "2026-12-26"}
    edited(folder, commitment={**promised.record, "beacon": beacon})
    assert "commitment in the certificate was edited" in verify(folder, roster).problems[0]


def test_an_edited_copy_is_found(folder, roster, promised):
    copy = {**promised.record, "roster_hash": "0" * 64}
    first, second = verify(folder, roster, commitment=copy).problems
    assert "the copy of the commitment was edited" in first
    assert "it is of another roster" in second


def test_nothing_is_randomized_from_an_edited_commitment(declared, roster, promised):
    with pytest.raises(AllocationError, match="the commitment was edited"):
        randomize(declared(), roster, commitment={**promised.record, "nonce": "0" * 32}, value=VALUE)


def test_trial_and_roster_must_be_those_that_were_committed_to(declared, officers, promised):
    with pytest.raises(AllocationError, match="of another design"):
        randomize(declared('kind = "parallel"\nperiods = 7'), officers(12), commitment=promised, value=VALUE)
    with pytest.raises(AllocationError, match="of another roster"):
        randomize(declared(), officers(13), commitment=promised, value=VALUE)


def test_half_a_commitment_or_a_blank_value_is_refused(declared, roster, promised):
    for given in ({"commitment": promised}, {"value": VALUE}, {"seed": 1, "commitment": promised}):
        with pytest.raises(AllocationError, match="either a seed, or a commitment together with"):
            randomize(declared(), roster, **given)
    with pytest.raises(AllocationError, match="begins or ends with white space"):
        randomize(declared(), roster, commitment=promised, value="07 19\n")


def test_a_design_that_does_not_fit_is_refused_before_the_draw(declared, officers):
    with pytest.raises(AllocationError, match="do not cross in groups"):
        commit(
            declared('kind = "stepped-wedge"\nperiods = 12\nbaseline = 3\nper_step = 2'), officers(7), **DRAW
        )


@pytest.mark.parametrize("odd", [{"source": " "}, {"round": ""}, {"nonce": "ab"}])
def test_a_source_a_round_and_a_nonce_must_be_such(declared, roster, odd):
    with pytest.raises(AllocationError):
        commit(declared(), roster, **{**DRAW, **odd})


COVARIATES = 'covariates = ["age"]'
SCHEMES = {
    "simple": 'scheme = "simple"',
    "matched": f'scheme = "matched"\n{COVARIATES}',
    "constrained": f'scheme = "constrained"\n{COVARIATES}\nkeep = 0.5\ncandidates = 50',
    "rerandomized": f'scheme = "rerandomized"\n{COVARIATES}\nthreshold = 1\ncandidates = 50',
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_can_be_committed_to_and_is_verified_against_the_copy(scheme, declared, roster):
    trial = declared(f'kind = "parallel"\nperiods = 6\n[randomization]\n{SCHEMES[scheme]}')
    aged = roster.assign(age=[str(30 + i * i % 17) for i in range(12)])
    promised = commit(trial, aged, **DRAW)
    certificate = randomize(trial, aged, commitment=promised, value=VALUE).certificate
    assert (promised.mechanism, certificate["mechanism"]) == (scheme, scheme)
    verdict = verify(certificate, aged, commitment=promised, value=VALUE)
    assert (verdict.ok, verdict.problems) == (True, ())
    older = aged.assign(age=[str(40 + i * i % 17) for i in range(12)])
    if scheme != "simple":
        again = randomize(trial, older, commitment=commit(trial, older, **DRAW), value=VALUE).certificate
        (problem,) = verify(again, older, commitment=promised).problems
        assert "it is of another roster" in problem


def test_a_roster_that_the_scheme_cannot_read_is_refused_before_the_draw(declared, roster):
    trial = declared(f'kind = "parallel"\nperiods = 6\n[randomization]\n{SCHEMES["constrained"]}')
    with pytest.raises(DataError, match="age"):
        commit(trial, roster.assign(age="young"), **DRAW)
