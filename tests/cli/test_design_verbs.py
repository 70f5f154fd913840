import json

import pytest

import rct
from rct.analysis import ESTIMATORS


def test_designs_lists_every_shipped_trial(rct_command):
    said = rct_command("designs")
    assert said.code == 0
    assert [name for name in rct.designs() if name not in said.out] == []


def test_the_schema_knows_the_tables_and_the_estimators(rct_command):
    schema = json.loads(rct_command("schema").out)
    assert set(schema["required"]) >= {"format", "name", "units", "arms", "schedule", "outcomes", "analysis"}
    assert schema["additionalProperties"] is False
    analyses = schema["$defs"]["Analysis"]["properties"]
    named = schema["$defs"]["AnalysisSpec"]["properties"]["estimator"]["enum"]
    assert named == sorted(ESTIMATORS)
    for place in (analyses["primary"], analyses["secondary"]["items"]):
        assert [option["enum"] for option in place["anyOf"] if "enum" in option] == [named]


def test_a_new_file_is_a_shipped_trial_with_its_comments(rct_command, tmp_path):
    path = tmp_path / "mine.toml"
    assert rct_command("new", path, "--from", "chicago_procedural_justice").code == 0
    assert rct.load(path) == rct.load("chicago_procedural_justice")


def test_new_never_overwrites(rct_command, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("precious", encoding="utf-8")
    said = rct_command("new", path)
    assert said.code == 2
    assert "already there" in said.err
    assert path.read_text(encoding="utf-8") == "precious"


def test_check_says_in_words_what_is_promised(rct_command, here):
    said = rct_command("check", here / "trial.toml", "--roster", here / "roster.csv")
    assert said.code == 0
    assert "Randomized: 6 squads; measured: 60 officers (from the roster)." in said.out
    assert "stepped-wedge, 8 months from 2024-01-01, 6 sequences, first treated months 3 to 8." in said.out
    assert "Primary analysis: poisson constant; inference: randomization, 99 draws; alpha 0.05" in said.out
    assert "Distinct allocations: 720; smallest attainable p-value: 0.00139, below alpha." in said.out
    assert "A rate of one half is assumed." in said.out
    assert "note: 6 randomized units are few" in said.out


def test_check_names_the_columns_that_the_records_need(rct_command, here):
    trial = here / "trial.toml"
    text = trial.read_text(encoding="utf-8")
    named = '[records]\nofficer = "badge"\n\n[analysis]'
    text = text.replace("primary = true", 'primary = true\nwhere = "level >= 2"').replace("[analysis]", named)
    trial.write_text(text, encoding="utf-8")
    assert "Columns needed in the records: incident, badge, date, level." in rct_command("check", trial).out


def test_check_refuses_a_condition_that_is_none(rct_command, here):
    trial = here / "trial.toml"
    text = trial.read_text(encoding="utf-8")
    trial.write_text(text.replace("primary = true", 'primary = true\nwhere = "level >="'), encoding="utf-8")
    said = rct_command("check", trial)
    assert said.code == 2
    assert "outcome force: where = 'level >='" in said.err


def test_check_without_a_roster_says_that_the_units_are_assumed(rct_command, here):
    assert "60 officers (assumed by the trial)" in rct_command("check", here / "trial.toml").out


def test_check_notes_a_design_that_cannot_reach_alpha(rct_command, here):
    roster = here / "roster.csv"
    roster.write_text(
        "officer_id,squad\n" + "".join(f"{n},squad {n}\n" for n in range(1, 4)), encoding="utf-8"
    )
    said = rct_command("check", here / "trial.toml", "--roster", roster)
    assert "smallest attainable p-value: 0.167, above alpha" in said.out
    assert "cannot reach significance" in said.out


def test_check_notes_a_wedge_with_one_of_its_two_answers(rct_command, here):
    trial = here / "trial.toml"
    lines = [
        line for line in trial.read_text(encoding="utf-8").splitlines() if not line.startswith("secondary")
    ]
    trial.write_text("\n".join(lines), encoding="utf-8")
    assert "two answers" in rct_command("check", trial).out


def test_strict_turns_notes_into_exit_code_1(rct_command, here):
    words = ("check", here / "trial.toml", "--roster", here / "roster.csv")
    assert rct_command(*words).code == 0
    assert rct_command(*words, "--strict").code == 1


def test_check_as_json(rct_command, here):
    content = json.loads(rct_command("check", here / "trial.toml", "--json").out)
    assert content["allocations"] == "720"
    assert content["smallest_p"] == pytest.approx(1 / 720)
    assert content["design_hash"] == rct.load(here / "trial.toml").design_hash
    assert len(content["notes"]) == 1


def test_check_needs_no_figure_that_only_the_roster_has(rct_command, here):
    trial = here / "trial.toml"
    text = trial.read_text(encoding="utf-8").replace(
        'id = "officer_id"', 'id = "officer_id"\nblock = ["district"]'
    )
    trial.write_text(text, encoding="utf-8")
    said = rct_command("check", trial)
    assert said.code == 0
    assert "is not known yet" in said.out


@pytest.mark.parametrize("name", rct.designs())
def test_every_shipped_trial_passes_the_check(name, rct_command):
    assert rct_command("check", name).code == 0


@pytest.fixture
def checked(rct_command, here):
    """Give a function that writes incidents and runs ``rct check`` on them, force counted where level > 1."""

    def run(records, *options):
        trial, incidents = here / "trial.toml", here / "force.csv"
        text = trial.read_text(encoding="utf-8")
        if "where" not in text:
            counted = text.replace("primary = true", 'primary = true\nwhere = "level > 1"')
            trial.write_text(counted, encoding="utf-8")
        incidents.write_text(records, encoding="utf-8")
        words = ("--roster", here / "roster.csv", "--incidents", incidents, *options)
        return rct_command("check", trial, *words)

    return run


def test_check_finds_what_would_stop_the_panel(checked):
    said = checked("incident,officer,date,levels\na,0001,2023-01-05,2\n")
    assert said.code == 2
    assert "lacks the column level, which where of the outcome force names (nearest: levels)" in said.err
    said = checked("incident,officer,date,level\na,0001,2023-01-05,two\n")
    assert said.code == 2
    assert "force.csv, row 2: Conversion Error: Could not convert string 'two'" in said.err
    said = checked("incident,officer,date,level\na,1,2023-01-05,2\n")
    assert said.code == 2
    assert "1 may be 0001" in said.err


def test_check_takes_incidents_of_before_the_trial_and_lists_their_problems(checked):
    good = "incident,officer,date,level\na,0001,2024-01-05,2\n"
    assert "rows" not in checked(good).out
    said = checked(good + "b,0002,2023-01-05,2\n")
    assert said.code == 0
    assert "force.csv, row 3: date 2023-01-05 is outside the schedule" in said.out
    assert checked("incident,officer,date,level\n").code == 0
    (problem,) = json.loads(checked(good + "b,9999,2024-01-05,2\n", "--json").out)["problems"]
    assert (problem["row"], problem["officer"]) == (3, "9999")


def test_check_needs_the_roster_to_place_incidents(rct_command, here):
    said = rct_command("check", here / "trial.toml", "--incidents", here / "force.csv")
    assert said.code == 2
    assert "--incidents needs --roster FILE too" in said.err
    said = rct_command("check", here / "trial.toml", "--exposure", here / "hours.csv")
    assert said.code == 2
    assert "give --incidents FILE too" in said.err
