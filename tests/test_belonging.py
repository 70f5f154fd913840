"""Trial, allocation, panel and estimates are joined only where they were made from each other."""

import pytest

import rct
from rct.simulation import synthetic_roster

TEXT = rct.load("louisville_icat").to_toml().replace('{ estimator = "bayesian", model = "marginal" },', "")
TEXT = TEXT.replace("draws = 9999", "draws = 19")
TRIAL = rct.Trial.parse(TEXT)
ROSTER = synthetic_roster(TRIAL)
OWN, OTHER = (rct.randomize(TRIAL, ROSTER, seed=seed) for seed in ("own", "other"))
PANEL = rct.simulate(TRIAL, OWN, seed=1)


@pytest.fixture(scope="module")
def results():
    return rct.estimate(TRIAL, PANEL, allocation=OWN)


def test_what_belongs_together_is_reported(results, tmp_path):
    rct.report(TRIAL, results, panel=PANEL, allocation=OWN, path=tmp_path / "report.html")
    assert (tmp_path / "report.html").exists()


def test_a_report_does_not_vouch_for_a_randomization_nobody_followed(results, tmp_path):
    with pytest.raises(rct.DataError, match="estimates given were made with another allocation"):
        rct.report(TRIAL, results, panel=PANEL, allocation=OTHER, path=tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_estimates_need_the_panels_own_allocation():
    with pytest.raises(rct.DataError, match="another allocation than the one given"):
        rct.estimate(TRIAL, PANEL, allocation=OTHER)


def test_a_report_of_another_design_is_refused(results, tmp_path):
    later = rct.Trial.parse(TEXT.replace("baseline = 12", "baseline = 11"))
    with pytest.raises(rct.DataError, match="estimates given are of another design"):
        rct.report(later, results, path=tmp_path / "report.html")


def test_a_panel_counted_otherwise_is_not_estimated():
    stricter = rct.Trial.parse(TEXT.replace('where = "citizen_injured"', 'where = "citizen_injured = 2"'))
    with pytest.raises(rct.DataError, match="counted under other"):
        rct.estimate(stricter, PANEL, allocation=OWN)


def test_a_label_or_an_analysis_may_change_without_counting_anew():
    worded = TEXT.replace("Use-of-force incidents", "Force").replace("alpha = 0.05", "alpha = 0.1")
    assert rct.Trial.parse(worded).counting_hash == TRIAL.counting_hash
    assert len(rct.estimate(rct.Trial.parse(worded), PANEL, allocation=OWN)) == 6


def test_a_folder_is_no_place_for_a_panel(tmp_path):
    with pytest.raises(rct.DataError, match="is a folder"):
        PANEL.write(tmp_path)
