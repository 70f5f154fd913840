import json

import pytest

import rct
from rct.cli import demo as module


@pytest.fixture(scope="module", autouse=True)
def few_simulated_trials():
    """Shorten the power of a quick demo, which takes most of the time; from the wheel it runs in full."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(module.SIMS, "quick", 16)
        yield


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Give the folder of a quick demo and what it printed."""
    from typer.testing import CliRunner

    from rct.cli.app import app

    folder = tmp_path_factory.mktemp("somewhere") / "demo"
    done = CliRunner().invoke(app, ["demo", "--quick", "--out", str(folder)], catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return folder, done.stdout


def test_the_demo_ends_with_the_path_of_its_report(demo):
    folder, said = demo
    assert said.splitlines()[-1] == str((folder / "report.html").resolve())
    assert (folder / "report.html").is_file()


def test_every_step_says_that_the_data_are_simulated(demo):
    folder, said = demo
    steps = [line for line in said.splitlines() if line[:2] in {"2/", "4/", "5/", "6/", "7/"}]
    assert len(steps) == 5
    assert [line for line in steps if "simulated" not in line] == []
    assert "simulated" in (folder / "report.html").read_text(encoding="utf-8").lower()
    assert rct.Panel.read(folder / "panel.parquet").meta["simulated"] is True


def test_the_demo_leaves_everything_that_a_real_trial_would(demo, rct_command):
    folder, said = demo
    assert "Verified" in said
    assert rct_command("verify", folder / "allocation", "--roster", folder / "roster.csv").code == 0
    outcomes = set(rct.Estimates.read(folder / "estimates").frame["outcome"])
    assert outcomes == {"force", "citizen_injury", "officer_injury"}
    assert (folder / "power" / "power.csv").is_file()
    assert (folder / "power" / "two_answers.csv").is_file()
    assert "Two answers for Use-of-force incidents" in (folder / "report.html").read_text(encoding="utf-8")


def test_the_effects_simulated_are_the_published_ones(demo):
    folder, _ = demo
    effects = rct.Panel.read(folder / "panel.parquet").meta["effects"]
    assert {name: arms["ICAT"] for name, arms in effects.items()} == {
        "force": 0.72,
        "citizen_injury": 0.74,
        "officer_injury": 0.64,
    }


def test_another_demo_replaces_the_first_and_leaves_other_files_alone(demo, rct_command):
    folder, _ = demo
    (folder / "my notes.txt").write_text("mine", encoding="utf-8")
    before = rct.Estimates.read(folder / "estimates")
    said = rct_command("demo", "--quick", "--out", folder, "--json", "--quiet")
    assert said.code == 0
    assert json.loads(said.out)["report"] == str((folder / "report.html").resolve())
    assert said.err == ""
    assert rct.Estimates.read(folder / "estimates") == before
    assert (folder / "my notes.txt").read_text(encoding="utf-8") == "mine"


def test_a_folder_with_other_files_is_refused(rct_command, tmp_path):
    (tmp_path / "trial.toml").write_text("precious", encoding="utf-8")
    said = rct_command("demo", "--quick", "--out", tmp_path)
    assert said.code == 2
    assert "choose another folder" in said.err
    assert [path.name for path in tmp_path.iterdir()] == ["trial.toml"]
