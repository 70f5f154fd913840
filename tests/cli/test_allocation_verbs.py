import json

import rct


def test_randomize_writes_what_the_library_writes(rct_command, allocated):
    trial = rct.load(allocated / "trial.toml")
    again = rct.randomize(trial, rct.read_roster(allocated / "roster.csv"), seed="a test")
    assert rct.Allocation.read(allocated / "allocation") == again


def test_randomize_says_who_begins_when_and_what_a_typed_seed_does_not_prove(rct_command, here):
    words = ("--roster", here / "roster.csv", "--seed", "a test", "--out", here / "allocation")
    said = rct_command("randomize", here / "trial.toml", *words)
    assert "squad 4" in said.out
    assert "Level: reproducible." in said.out
    assert "The seed was typed." in said.out


def test_randomize_as_json_counts_units_by_sequence(rct_command, here):
    words = ("--roster", here / "roster.csv", "--seed", "a test", "--out", here / "allocation", "--json")
    content = json.loads(rct_command("randomize", here / "trial.toml", *words).out)
    assert [row["starts"] for row in content["counts"]] == [3, 4, 5, 6, 7, 8]
    assert {(row["randomized"], row["measured"]) for row in content["counts"]} == {(1, 10)}
    assert content["level"] == "reproducible"


def test_an_untouched_allocation_is_verified(rct_command, allocated):
    said = rct_command("verify", allocated / "allocation", "--roster", allocated / "roster.csv")
    assert said.code == 0
    assert "Verified" in said.out
    assert "Level: reproducible." in said.out


def test_a_changed_row_fails_the_verification_and_is_named(rct_command, allocated):
    roster = allocated / "roster.csv"
    text = roster.read_text(encoding="utf-8")
    roster.write_text(text.replace("0001,squad 1", "0001,squad 2"), encoding="utf-8")
    said = rct_command("verify", allocated / "allocation", "--roster", roster)
    assert said.code == 1
    assert "0001: squad 1 → squad 2" in said.out


def test_verify_as_json_lists_the_problems(rct_command, allocated):
    kept = allocated / "allocation" / "trial.toml"
    kept.write_text(
        kept.read_text(encoding="utf-8").replace("baseline = 2", "baseline = 1"), encoding="utf-8"
    )
    said = rct_command("verify", allocated / "allocation", "--roster", allocated / "roster.csv", "--json")
    content = json.loads(said.out)
    assert (said.code, content["ok"]) == (1, False)
    assert any("schedule.baseline" in problem for problem in content["problems"])


def test_an_amended_label_does_not_fail_the_verification_but_is_named(rct_command, allocated):
    kept = allocated / "allocation" / "trial.toml"
    kept.write_text(kept.read_text(encoding="utf-8").replace("draws = 99", "draws = 999"), encoding="utf-8")
    said = rct_command("verify", allocated / "allocation", "--roster", allocated / "roster.csv")
    assert said.code == 0
    assert "[analysis]" in said.out


def committed(rct_command, here):
    words = ("--roster", here / "roster.csv", "--source", "state lottery", "--round", "2026-12-24")
    said = rct_command("commit", here / "trial.toml", *words, "--out", here / "commitment.json")
    assert said.code == 0
    return said


def test_a_commitment_to_a_draw_that_is_over_says_that_it_proves_nothing(rct_command, here):
    words = ("--roster", here / "roster.csv", "--source", "state lottery", "--out", here / "late.json")
    said = rct_command("commit", here / "trial.toml", *words, "--round", "draw of 2020-01-01")
    assert "draw of 2020-01-01 is over" in said.err


def from_the_draw(here, *more):
    given = ("--roster", here / "roster.csv", "--commitment", here / "commitment.json")
    return ("randomize", here / "trial.toml", *given, "--out", here / "allocation", *more)


def test_a_committed_draw_is_randomized_and_verified_against_the_copy(rct_command, here):
    assert "Give it, now, to somebody who keeps it" in committed(rct_command, here).out
    said = rct_command(*from_the_draw(here, "--value", "07 19 22"))
    assert said.code == 0
    assert "Level: pre-committed." in said.out
    words = ("--roster", here / "roster.csv", "--commitment", here / "commitment.json", "--value", "07 19 22")
    checked = rct_command("verify", here / "allocation", *words)
    assert checked.code == 0
    assert "Level: pre-committed." in checked.out


def test_a_folder_made_again_fails_against_the_copy(rct_command, allocated):
    committed(rct_command, allocated)
    words = ("--roster", allocated / "roster.csv", "--commitment", allocated / "commitment.json")
    said = rct_command("verify", allocated / "allocation", *words)
    assert said.code == 1
    assert "made again without the commitment" in said.out


def test_exactly_one_of_a_seed_or_a_commitment_with_its_value_is_taken(rct_command, here):
    committed(rct_command, here)
    for more in ((), ("--seed", "1"), ("--seed", "1", "--value", "07")):
        said = rct_command(*from_the_draw(here, *more))
        assert said.code == 2
        assert "either a seed, or a commitment" in said.err
    assert not (here / "allocation").exists()


def test_a_commitment_is_not_overwritten(rct_command, here):
    committed(rct_command, here)
    words = ("--roster", here / "roster.csv", "--source", "x", "--round", "y")
    said = rct_command("commit", here / "trial.toml", *words, "--out", here / "commitment.json")
    assert said.code == 2
    assert "never overwritten" in said.err
