import hashlib

import pytest
import typer

from rct.cli.arguments import effects_by_outcome, whole_number_seed
from rct.cli.several_files import repeated


def test_effects_are_read_by_outcome_and_by_arm():
    given = ["force=0.72", "injury:A=0.8", "injury:B=1.1"]
    assert effects_by_outcome(given) == {"force": 0.72, "injury": {"A": 0.8, "B": 1.1}}


@pytest.mark.parametrize("text", ["force", "force=", "=0.7", "force:=0.7", ":A=0.7", "force=much", ""])
def test_what_is_no_effect_is_refused_with_the_form_to_write(text):
    with pytest.raises(typer.BadParameter, match="write force=0.72"):
        effects_by_outcome([text])


@pytest.mark.parametrize(
    "pair", [("force=0.7", "force=0.8"), ("force:A=0.7", "force:A=0.8"), ("force=0.7", "force:A=1")]
)
def test_an_effect_given_twice_is_refused(pair):
    for given in (pair, reversed(pair)):
        with pytest.raises(typer.BadParameter, match="given twice"):
            effects_by_outcome(list(given))


def test_a_whole_number_is_its_own_seed_and_a_text_is_hashed():
    assert whole_number_seed("17") == 17
    digest = hashlib.sha256(b"Council, 3 May").digest()
    assert whole_number_seed("Council, 3 May") == int.from_bytes(digest[:8], "big")
    assert whole_number_seed("-1") > 0


def test_every_file_after_incidents_belongs_to_it_until_the_next_option():
    words = ["trial.toml", "--incidents", "a.csv", "b.csv", "c.csv", "--strict", "--incidents", "d.csv"]
    option = "--incidents"
    assert repeated(words) == [
        "trial.toml", option, "a.csv", option, "b.csv", option, "c.csv", "--strict", option, "d.csv",
    ]  # fmt: skip


def test_other_words_are_left_as_they_are():
    words = ["trial.toml", "--roster", "roster.csv", "--quiet"]
    assert repeated(words) == words
