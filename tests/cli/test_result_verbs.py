import html
import json

import pandas as pd
import pytest

import rct
from rct.power import Power


@pytest.fixture
def estimate(rct_command, simulated):
    """Give a function that runs ``rct estimate`` on the simulated panel."""

    def run(*options):
        words = ("--panel", simulated / "panel.parquet", "--allocation", simulated / "allocation")
        return rct_command(
            "estimate", simulated / "trial.toml", *words, "--out", simulated / "estimates", *options
        )

    return run


def library_results(folder, **options):
    return rct.estimate(
        rct.load(folder / "trial.toml"),
        rct.Panel.read(folder / "panel.parquet"),
        allocation=rct.Allocation.read(folder / "allocation"),
        **options,
    )


def test_estimate_writes_what_the_library_estimates(estimate, simulated):
    assert estimate().code == 0
    assert rct.Estimates.read(simulated / "estimates") == library_results(simulated)


def test_estimate_prints_each_analysis_with_its_warnings_and_that_data_are_simulated(estimate):
    said = estimate()
    assert "poisson constant" in said.out
    assert "poisson exposure-time mean of 1–2" in said.out
    assert "only 6 clusters" in said.out
    assert "These data are simulated" in said.out
    assert said.err == "Estimating force: 2 promised analyses …\n"
    assert estimate("--quiet").err == ""


def test_estimate_as_json_is_the_frame(estimate, simulated):
    content = json.loads(estimate("--json").out)
    frame = library_results(simulated).frame
    assert [row["estimate"] for row in content["estimates"]] == frame["estimate"].tolist()
    assert content["estimates"][0]["probability_reduced"] is None
    assert content["simulated"] is True


def test_a_seed_replaces_the_trials_own(estimate, simulated):
    estimate("--seed", "5")
    assert rct.Estimates.read(simulated / "estimates") == library_results(simulated, seed=5)


def test_randomization_inference_needs_the_allocation_and_says_so(rct_command, simulated):
    words = ("--panel", simulated / "panel.parquet", "--out", simulated / "estimates")
    said = rct_command("estimate", simulated / "trial.toml", *words)
    assert said.code == 2
    assert "--allocation" in said.err
    assert not (simulated / "estimates").exists()


def test_an_amended_analysis_is_noted_and_run(estimate, simulated):
    trial = simulated / "trial.toml"
    trial.write_text(trial.read_text(encoding="utf-8").replace("draws = 99", "draws = 199"), encoding="utf-8")
    said = estimate()
    assert said.code == 0
    assert "Amended since the randomization: [analysis]." in said.err
    assert len(rct.Estimates.read(simulated / "estimates").rows[0].null_draws) == 199


def test_a_panel_of_another_design_is_refused(rct_command, simulated):
    trial = simulated / "trial.toml"
    text = trial.read_text(encoding="utf-8").replace("baseline = 2", "baseline = 1")
    trial.write_text(text.replace("draws = 99", 'inference = "cluster-robust"'), encoding="utf-8")
    words = ("--panel", simulated / "panel.parquet", "--out", simulated / "estimates")
    said = rct_command("estimate", trial, *words)
    assert said.code == 2
    assert "another design" in said.err


def test_a_report_is_written_from_estimates_or_without_them(rct_command, estimate, simulated):
    estimate()
    words = ("--panel", simulated / "panel.parquet", "--allocation", simulated / "allocation")
    pages = []
    for name, options in (("one", ("--estimates", simulated / "estimates")), ("two", ())):
        page = simulated / name / "report.html"
        said = rct_command("report", simulated / "trial.toml", *words, *options, "--out", page)
        assert said.code == 0
        assert str(page) in said.out
        pages.append(page.read_text(encoding="utf-8"))
    assert pages[0] == pages[1]
    assert "simulated" in pages[0]


def test_a_report_from_a_folder_without_estimates_is_refused(rct_command, simulated):
    words = (
        "--panel",
        simulated / "panel.parquet",
        "--estimates",
        simulated,
        "--out",
        simulated / "report.html",
    )
    said = rct_command("report", simulated / "trial.toml", *words)
    assert said.code == 2
    assert "holds no estimates" in said.err
    assert not (simulated / "report.html").exists()


def test_a_report_shows_what_the_design_could_have_seen(rct_command, simulated):
    """The study made before the trial is in the page; another design's is refused."""
    trial, folder = simulated / "trial.toml", simulated / "power"
    rct_command("power", trial, "--sims", 64, "--out", folder)
    words = ("--panel", simulated / "panel.parquet", "--allocation", simulated / "allocation")
    page = simulated / "report.html"
    said = rct_command("report", trial, *words, "--power", folder, "--out", page)
    assert said.code == 0
    text = " ".join(html.unescape(page.read_text(encoding="utf-8")).split())
    found = Power.read(folder)
    assert found.verdicts[0] in text
    pd.testing.assert_frame_equal(found.frame, pd.read_csv(folder / "power.csv"), rtol=1e-12)
    said = rct_command("report", trial, *words, "--power", simulated, "--out", page)
    assert said.code == 2
    assert "holds no finished study of power" in said.err
    other = json.loads((folder / "power.json").read_text(encoding="utf-8"))
    other["declaration"] = other["declaration"].replace("baseline = 2", "baseline = 1")
    (folder / "power.json").write_text(json.dumps(other), encoding="utf-8")
    said = rct_command("report", trial, *words, "--power", folder, "--out", page)
    assert said.code == 2
    assert "the power of another design" in said.err
