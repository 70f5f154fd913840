import json
import sqlite3

import pytest

import rct

DESIGN = """
arms = ["usual", "ICAT"]
strata = ["district"]
rule = { kind = "permuted-blocks", sizes = [2, 4] }
"""


@pytest.fixture
def enrol(rct_command, tmp_path):
    def run(*words):
        return rct_command("enrol", tmp_path / "ledger.sqlite", "--key", tmp_path / "secret.key", *words)

    return run


@pytest.fixture
def opened(enrol, tmp_path):
    (tmp_path / "design.toml").write_text(DESIGN, encoding="utf-8")
    assert enrol("--open", tmp_path / "design.toml").code == 0
    return tmp_path / "ledger.sqlite"


def test_officers_are_enrolled_one_by_one_and_the_ledger_is_verified_against_a_receipt(
    enrol, opened, rct_command
):
    first = json.loads(enrol("--unit", "0412", "--level", "district=north", "--json").out)
    assert first["arm"] in ("usual", "ICAT")
    assert "Receipt, to be kept elsewhere: 2:" in enrol("--unit", "0413", "--level", "district=north").out
    assert enrol("--close").code == 0
    said = rct_command("verify", opened, "--receipt", first["receipt"])
    assert said.code == 0
    assert "Verified: 2 enrolments" in said.out
    assert "Not proved: The latest receipt given is for entry 1" in said.out


def test_late_joiners_of_a_trial_are_enrolled_into_its_arms_in_its_ratio(enrol, here):
    arms = rct.load(here / "trial.toml").arms.names
    design = 'trial = "trial.toml"\nrule = { kind = "permuted-blocks", sizes = [4] }\n'
    (here / "late.toml").write_text(design, encoding="utf-8")
    assert enrol("--open", here / "late.toml").code == 0
    given = [json.loads(enrol("--unit", f"{i}", "--json").out)["arm"] for i in range(4)]
    assert sorted(given) == sorted(arms * (4 // len(arms)))


def test_a_cut_tail_fails_the_verification(enrol, opened, rct_command):
    receipt = json.loads(enrol("--unit", "0412", "--level", "district=north", "--json").out)["receipt"]
    connection = sqlite3.connect(opened)
    connection.execute("DROP TRIGGER no_delete")
    connection.execute("DELETE FROM entries WHERE number = 1")
    connection.commit()
    connection.close()
    said = rct_command("verify", opened, "--receipt", receipt)
    assert said.code == 1
    assert "the tail was cut" in said.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "one of --unit, --open and --close"),
        (("--unit", "1", "--close"), "one of --unit, --open and --close"),
        (("--unit", "1"), "needs to know district, and was told nothing"),
        (("--unit", "1", "--level", "district"), "as --level name=value"),
    ],
)
def test_what_cannot_be_enrolled_is_one_sentence(enrol, opened, words, message):
    said = enrol(*words)
    assert said.code == 2
    assert message in said.err


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[2, 4]", "[3]", "a block of 3 cannot hold the ratio 1:1"),
        ("[2, 4]", "[]", "design.toml, line 4: rule.sizes: should be a list of 1 or more, not []"),
        ("[2, 4]", '["2"]', 'design.toml, line 4: rule.sizes: should be a whole number, not "2"'),
        ('"permuted-blocks"', '"coin"', "rule: should be one of 'permuted-blocks', 'biased-coin', 'urn'"),
        (
            'kind = "permuted-blocks", ',
            "",
            "line 4: rule: should be a table with 'kind', not {sizes = [2, 4]}",
        ),
        ('["usual", "ICAT"]', '["usual"]', "line 2: arms: should be a list of 2 or more, not"),
        ('["district"]', "true", "line 3: strata: should be a list in brackets, not true"),
        (
            'kind = "permuted-blocks", sizes = [2, 4]',
            'kind = "minimisation", factors = ["rank"], weights = ["1/0"]',
            'line 4: rule.weights: "1/0" is not a number; write 2, 0.446 or "1/4"',
        ),
        ('["district"]', "[" * 20_000 + "]" * 20_000, "it is nested too deeply"),
    ],
)
def test_a_design_that_cannot_be_used_is_refused_and_nothing_is_written(enrol, tmp_path, old, new, message):
    assert old in DESIGN
    (tmp_path / "design.toml").write_text(DESIGN.replace(old, new), encoding="utf-8")
    said = enrol("--open", tmp_path / "design.toml")
    assert said.code == 2
    assert message in said.err
    assert said.err.count("\n") == 1
    assert not (tmp_path / "ledger.sqlite").exists()
    assert not (tmp_path / "secret.key").exists()


def test_an_allocation_needs_a_roster_to_be_verified(rct_command, allocated):
    said = rct_command("verify", allocated / "allocation")
    assert said.code == 2
    assert "verified with --roster" in said.err
