import json

import pytest

import rct
from rct.cli.panel_verbs import examples

RECORDS = "incident,officer,date\n"


@pytest.fixture
def build(rct_command, allocated):
    """Give a function that writes files of records, one after the other, and runs ``rct panel`` on them."""

    def run(*texts, options=()):
        files = []
        for number, text in enumerate(texts, start=1):
            file = allocated / f"records{number}.csv"
            file.write_text(RECORDS + text, encoding="utf-8")
            files.append(file)
        words = ("--allocation", allocated / "allocation", "--roster", allocated / "roster.csv")
        words += ("--incidents", *files, "--out", allocated / "panel.parquet", *options)
        return rct_command("panel", allocated / "trial.toml", *words)

    return run


def counted(folder):
    return int(rct.Panel.read(folder / "panel.parquet").frame["force"].sum())


def test_incidents_of_several_files_are_counted(build, allocated):
    said = build("a,0001,2024-01-05\n", "b,0002,2024-02-05\n", "c,0003,2024-08-31\n")
    assert said.code == 0
    assert counted(allocated) == 3


def test_the_option_may_be_repeated_too(build, allocated):
    other = allocated / "other.csv"
    other.write_text(RECORDS + "b,0002,2024-02-05\n", encoding="utf-8")
    assert build("a,0001,2024-01-05\n", options=("--incidents", other)).code == 0
    assert counted(allocated) == 2


@pytest.mark.parametrize(
    ("record", "named"),
    [
        ("x,9999,2024-02-01\n", "officer 9999 is not on the roster"),
        ("x,0001,2031-02-01\n", "date 2031-02-01 is outside the schedule"),
    ],
)
def test_an_incident_that_has_no_place_is_listed_and_fails_only_when_strict(record, named, build, allocated):
    said = build("a,0001,2024-01-05\n" + record)
    assert said.code == 0
    assert f"records1.csv, row 3: {named}" in said.out
    assert counted(allocated) == 1
    assert build("a,0001,2024-01-05\n" + record, options=("--strict",)).code == 1
    assert build("a,0001,2024-01-05\n", options=("--strict",)).code == 0


def test_problems_are_counted_by_kind(build):
    rows = "".join(f"{number},99{number},2024-02-01\n" for number in range(10, 25))
    said = build(rows + "a,0001,2024-01-05\n")
    (line,) = [line for line in said.out.splitlines() if "officer … is not on the roster" in line]
    assert line.split()[-1] == "15"
    assert "and 6 more" in said.out


def test_ids_without_their_zeros_are_one_kind_of_problem(build):
    said = build("a,0001,2024-01-05\nb,2,2024-01-05\nc,3,2024-01-05\n")
    (line,) = [line for line in said.out.splitlines() if "officer … is not on the roster (the roster" in line]
    assert line.split()[-1] == "2"


def test_records_none_of_which_is_of_the_roster_make_no_panel(build, allocated):
    said = build("a,1,2024-01-05\n")
    assert said.code == 2
    assert "1 may be 0001" in said.err
    assert not (allocated / "panel.parquet").exists()


def test_exposure_is_read_from_its_file(build, allocated):
    file = allocated / "exposure.csv"
    file.write_text("officer_id,period,exposure\n0001,2024-01,0.5\n", encoding="utf-8")
    assert build("a,0001,2024-01-05\n", options=("--exposure", file)).code == 0
    exposure = rct.Panel.read(allocated / "panel.parquet").frame["exposure"]
    assert exposure[exposure > 0].tolist() == [0.5]


def test_problems_as_json_have_file_and_row(build, allocated):
    content = json.loads(build("a,0001,2024-01-05\nb,9999,2024-01-05\n", options=("--json",)).out)
    assert content["events"] == {"force": 1}
    (problem,) = content["problems"]
    assert (problem["file"], problem["row"]) == (str(allocated / "records1.csv"), 3)


def test_a_missing_file_of_incidents_is_refused(rct_command, allocated):
    words = ("--allocation", allocated / "allocation", "--roster", allocated / "roster.csv")
    words += ("--incidents", allocated / "nowhere.csv", "--out", allocated / "panel.parquet")
    said = rct_command("panel", allocated / "trial.toml", *words)
    assert said.code == 2
    assert "nowhere.csv: there is no such file" in said.err
    assert not (allocated / "panel.parquet").exists()


def test_an_amendment_since_the_randomization_is_noted(build, allocated):
    trial = allocated / "trial.toml"
    trial.write_text(trial.read_text(encoding="utf-8").replace("draws = 99", "draws = 199"), encoding="utf-8")
    said = build("a,0001,2024-01-05\n")
    assert said.code == 0
    assert "Amended since the randomization: [analysis]." in said.err
    assert "Amended" not in build("a,0001,2024-01-05\n", options=("--quiet",)).err


def test_a_simulated_panel_is_the_librarys(rct_command, allocated):
    words = ("--allocation", allocated / "allocation", "--effect", "force=0.9", "--seed", "7")
    said = rct_command("simulate", allocated / "trial.toml", *words, "--out", allocated / "panel.parquet")
    assert said.code == 0
    assert "force × 0.9" in said.out
    assert "simulated" in said.out
    trial = rct.load(allocated / "trial.toml")
    allocation = rct.Allocation.read(allocated / "allocation")
    again = rct.simulate(trial, allocation, effects={"force": 0.9}, seed=7)
    assert rct.Panel.read(allocated / "panel.parquet") == again


def test_simulate_as_json_says_that_it_is_simulated(rct_command, allocated):
    words = (
        "--allocation",
        allocated / "allocation",
        "--seed",
        "spring",
        "--out",
        allocated / "panel.parquet",
    )
    content = json.loads(rct_command("simulate", allocated / "trial.toml", *words, "--json").out)
    assert content["simulated"] is True
    assert content["effects"] == {"force": {"training": 0.5}}


def test_a_rare_kind_of_problem_is_shown_in_full_however_frequent_another_is():
    common = [{"problem": "blank date", "row": row} for row in range(2, 40)]
    rare = {"problem": "blank officer", "row": 99}
    shown = examples([*common, rare])
    assert shown == [*common[:9], rare]


def test_records_in_utf_16_are_refused_with_how_to_save_them(rct_command, allocated):
    (allocated / "force.csv").write_text(RECORDS + "1,0001,2024-01-05\n", encoding="utf-16")
    words = ("--allocation", allocated / "allocation", "--roster", allocated / "roster.csv")
    words += ("--incidents", allocated / "force.csv", "--out", allocated / "panel.parquet")
    said = rct_command("panel", allocated / "trial.toml", *words)
    assert said.code == 2
    assert 'force.csv is "Unicode text" (UTF-16); save it as "CSV UTF-8"' in said.err
    assert not (allocated / "panel.parquet").exists()
