import json
import math
import xml.etree.ElementTree as ET

import pandas as pd
import pytest

import rct
from rct.power import simulate
from rct.power.detectable_effect import Detectable


@pytest.fixture
def power(rct_command, here):
    """Give a function that runs ``rct power`` on the small trial."""

    def run(*options, sims=64):
        return rct_command("power", here / "trial.toml", "--sims", sims, *options)

    return run


def test_power_is_the_librarys(power, here):
    said = power("--json", "--seed", "3")
    frame = simulate(rct.load(here / "trial.toml"), sims=64, seed=3).frame
    assert [row["power"] for row in json.loads(said.out)["power"]] == frame["power"].tolist()


def test_power_exits_with_0_only_when_the_usual_80_percent_are_reached(power, here):
    trial = here / "trial.toml"
    text = trial.read_text(encoding="utf-8")
    for ratio, code, verdict in (
        ("0.05", 0, "reaches the usual 80 %"),
        ("0.95", 1, "does not reach the usual 80 %"),
    ):
        trial.write_text(text.replace("force = 0.5 }\nrates", f"force = {ratio} }}\nrates"), encoding="utf-8")
        said = power()
        assert said.code == code
        assert verdict in said.out


def test_power_says_what_was_assumed(power):
    assert "A rate of one half is assumed." in power().out


def test_power_writes_its_folder(power, here):
    power("--out", here / "power")
    frame = pd.read_csv(here / "power" / "power.csv")
    assert set(frame["outcome"]) == {"force"}


def test_the_roster_replaces_the_assumed_units(power, here):
    roster = here / "other.csv"
    rows = "".join(f"{number:04d},squad {number % 8}\n" for number in range(24))
    roster.write_text("officer_id,squad\n" + rows, encoding="utf-8")
    trial = here / "trial.toml"
    trial.write_text(
        trial.read_text(encoding="utf-8").replace("periods = 8", "periods = 10"), encoding="utf-8"
    )
    assert "8 randomized units (24 measured units)" in power("--roster", roster).out


def test_any_number_of_workers_gives_the_same_power(power):
    one, two = (json.loads(power("--json", "--workers", workers, sims=70).out) for workers in (1, 2))
    assert one == two


def test_no_simulations_are_refused(power):
    assert power(sims=0).code == 2


def test_a_trial_that_cannot_work_is_told_so_first_and_nothing_is_simulated(power, here):
    trial = here / "trial.toml"
    text = trial.read_text(encoding="utf-8").replace("clusters = 6", "clusters = 2")
    trial.write_text(text, encoding="utf-8")
    said = power("--out", here / "power")
    assert said.code == 1
    assert said.out.startswith("This trial cannot work: whatever training does, no result can be significant")
    assert said.out.count("\n") == 1
    assert not (here / "power").exists()


def test_power_learns_from_earlier_months_and_tries_itself_on_them(power, simulated):
    panel = simulated / "panel.parquet"
    learned = power("--history", panel)
    assert "learned from 8 earlier periods of 60 units" in learned.out
    tried, plain = (
        json.loads(power("--history", panel, "--json", *words).out)["power"][0]["bias"]
        for words in (["--resample"], [])
    )
    assert tried != plain


def test_the_bar_tells_the_running_estimate_and_its_error():
    from rct.cli.power_verb import running_estimate

    frame = pd.DataFrame([{"outcome": "force", "power": 0.343, "mc_error": 0.0213}])
    assert running_estimate(frame) == "force: 34 % ± 2.1"


def test_a_planner_gets_detectable_effects_both_answers_and_other_designs(power, here):
    out = here / "power"
    said = power("--detectable", "--courses", "--designs", "--out", out, sims=16)
    assert "the smallest change found in 80 % of studies is" in said.out
    assert "growing over 12 periods" in said.out
    assert "matched pairs" in said.out
    for name in ("two_answers", "designs"):
        assert (out / f"{name}.csv").exists()
        root = ET.parse(out / f"{name}.svg").getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"  # without its namespace no browser draws a file


def test_earlier_months_may_be_the_agencys_own_table(power, here, simulated):
    """The same months as a panel and as a CSV file give the same study."""
    frame = rct.Panel.read(simulated / "panel.parquet").frame
    names = {"unit": "officer_id", "randomized": "squad"}
    table = frame.rename(columns=names)[["officer_id", "squad", "period", "force"]]
    table.to_csv(here / "months.csv", index=False)
    said = [
        json.loads(power("--json", "--history", file).out)["power"]
        for file in (simulated / "panel.parquet", here / "months.csv")
    ]
    assert said[0] == said[1]
    table.drop(columns="squad").to_csv(here / "lacking.csv", index=False)
    assert "there is no squad" in power("--history", here / "lacking.csv").err
    table.astype({"force": str}).replace({"force": {"0": "none"}}).to_csv(here / "words.csv", index=False)
    assert "force is 'none', not a number" in power("--history", here / "words.csv").err


def test_what_is_assumed_comes_last_and_names_resampled_months(power, simulated):
    said = power("--history", simulated / "panel.parquet", "--resample").out
    assert "the same 8 earlier periods" in said
    assert "are learned from" not in said


def test_months_to_resample_must_be_given(power):
    assert power("--resample").err == "error: --resample takes the months of --history: give that file too\n"


def test_a_study_that_is_stopped_says_what_is_kept(power, here, monkeypatch):
    def stopped(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("rct.power.simulate", stopped)
    said = power("--out", here / "power")
    assert said.code == 130
    assert "the same command goes on" in said.err
    assert "the same command goes on" not in power().err


def test_an_effect_that_no_study_can_find_is_said_in_words(power, monkeypatch):
    columns = ["outcome", "ratio", "percent_change", "ratio_low", "ratio_high"]
    nothing = pd.DataFrame([["force", *[math.nan] * 4]], columns=columns)
    monkeypatch.setattr("rct.power.detectable", lambda *_args, **_options: Detectable(nothing, 0.8))
    assert "no change, however large, is found in 80 % of studies" in power("--detectable").out


def test_too_few_simulations_for_a_detectable_effect_are_said_with_the_number_to_use(power, monkeypatch):
    columns = ["outcome", "ratio", "percent_change", "ratio_low", "ratio_high", "sims", "sims_needed"]
    open_ = pd.DataFrame([["force", 0.7, -30.0, 0.0, 1.0, 8064, 33000]], columns=columns)
    given = {}
    monkeypatch.setattr(
        "rct.power.detectable", lambda *_, **options: given.update(options) or Detectable(open_, 0.8)
    )
    said = power("--detectable", sims=16).out
    assert "8,064 simulations are too few to tell the smallest change found in 80 % of studies" in said
    assert "give --sims 33000." in said
    assert "-100" not in said
    assert given["sims"] == 8000
