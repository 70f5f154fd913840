"""The Dallas example counts by its rule, finds nothing where nothing is, and finds what is planted."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

Example = Callable[[str], ModuleType]
Data = Callable[[str], Path]

# Ten made-up reports in the shapes of two published years: other column names, dates and booleans.
YEAR_2015 = """\
FILENUM,OCCURRED_DT,CURRENT_BADGE_NO,OFF_INJURED,CitNum,CIT_INJURED,DIVISION
UF1,01/31/2015 12:00:00 AM,1,Yes,10,Yes,CENTRAL
UF1,02/01/2015 12:00:00 AM,1,Yes,11,Yes,NORTHEAST
UF1,01/31/2015 12:00:00 AM,2,No, 10,Yes,CENTRAL
UF2,01/05/2015 12:00:00 AM,1,Yes,,Yes,CENTRAL
UF2,01/05/2015 12:00:00 AM,3,No,,Yes,CENTRAL
,,,,,,
"""
YEAR_2017 = """\
FILENUM,CitNum,CURRENT_BAxx,OCCURRED_D,OFF_INJURE,CIT_INJURE,DIVISION
UF3,0,0,03/07/2017,true,true,SOUTHEAST
UF4,12,4,03/09/2017,false,true,O/T
UF5,13,4,03/09/2017,true,true,
UF6,14,5,03/31/2017,false,false,SOUTHEAST
UF1,15,6,03/01/2017,true,true,SOUTHEAST
"""
# Period 13 is January 2015, 39 is March 2017. UF1 belongs to the division and month of its first row,
# whatever the later rows say: citizens 10, 11, 15 and officers 1, 6. In UF2 the citizens without a number
# count as one.
COUNTED = {("CENTRAL", 13): [2, 4, 3], ("SOUTHEAST", 39): [2, 1, 1]}


@pytest.fixture(scope="module")
def dallas(example: Example) -> ModuleType:
    return example("dallas_placebo")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    records = tmp_path / "published"
    records.mkdir()
    (records / "response_to_resistance_2015.csv").write_text(YEAR_2015, encoding="utf-8")
    (records / "response_to_resistance_2017.csv").write_text(YEAR_2017, encoding="utf-8")
    return records


def test_ten_reports_are_counted_by_the_rule(dallas: ModuleType, folder: Path, tmp_path: Path) -> None:
    _, _, panel = dallas.placebo_trial(dallas.read_years(folder), tmp_path / "out", seed=1)
    assert len(panel.frame) == 7 * 60
    counts = panel.frame.set_index(["unit", "period"])[dallas.OUTCOMES]
    found = counts[counts.any(axis=1)]
    assert {place: row.tolist() for place, row in found.iterrows()} == COUNTED


def test_odd_and_blank_divisions_and_ids_are_listed_with_file_and_row(
    dallas: ModuleType, folder: Path, tmp_path: Path
) -> None:
    _, _, panel = dallas.placebo_trial(dallas.read_years(folder), tmp_path / "out", seed=1)
    problems = panel.problems.assign(year=panel.problems["file"].str[-8:-4])
    listed = {(row.year, row.row, row.problem.split(":")[-1].strip()) for row in problems.itertuples()}
    assert {
        ("2015", 5, "blank person id in citizen"),
        ("2015", 6, "blank person id in citizen"),
        ("2017", 2, "blank person id in citizen"),
        ("2017", 2, "blank person id in badge"),
        ("2017", 3, "unit O/T is not on the roster"),
        ("2017", 4, "blank unit"),
    } <= listed


def test_incidents_sum_to_the_panel(dallas: ModuleType, folder: Path, tmp_path: Path) -> None:
    years = dallas.read_years(folder)
    _, allocation, panel = dallas.placebo_trial(years, tmp_path / "out", seed=1)
    starts = allocation.frame.set_index("unit")["starts"]
    summed = dallas.division_months(dallas.incidents(pd.concat(years.values())), starts)
    columns = ["unit", "period", "starts", "treated", *dallas.OUTCOMES]
    pd.testing.assert_frame_equal(summed.frame[columns], panel.frame[columns])


def test_thinning_takes_a_quarter_of_treated_incidents_with_their_injured(dallas: ModuleType) -> None:
    found = pd.DataFrame({"division": "CENTRAL", "period": np.repeat([12, 13], 4000), "force": 1})
    found = found.assign(citizen_injury=2, officer_injury=1)
    planted = dallas.thinned(found, pd.Series({"CENTRAL": 13}), seed=[1, 2])
    kept = planted.groupby("period")["force_planted"].sum()
    assert kept[12] == 4000
    assert kept[13] == pytest.approx(3000, abs=110)
    assert (planted["citizen_injury_planted"] == 2 * planted["force_planted"]).all()
    assert (planted["officer_injury_planted"] == planted["force_planted"]).all()


def test_the_score_shown_is_the_default_statistic(dallas: ModuleType, folder: Path, tmp_path: Path) -> None:
    _, allocation, panel = dallas.placebo_trial(dallas.read_years(folder), tmp_path / "out", seed=1)
    counts = np.random.default_rng(5).poisson(9, len(panel.frame))
    frame = panel.frame[["unit", "period", "starts"]].assign(force=counts)
    noise = dallas.rct.Panel.from_frame(
        frame, unit="unit", period="period", outcomes=["force"], starts="starts"
    )
    shown, default = (
        dallas.rct.frequentist.randomization_test(
            noise, "force", allocation=allocation, draws="exact", statistic=statistic
        )
        for statistic in (dallas.score, "score")
    )
    assert shown.p_value == default.p_value
    np.testing.assert_allclose(shown.null_draws, default.null_draws, atol=1e-6)


def test_detectable_is_the_effect_of_eighty_percent_power(dallas: ModuleType) -> None:
    # 1.959964 + 0.841621 standard deviations, here of 0.1.
    assert dallas.detectable(pd.Series([-0.1, 0.0, 0.1])) == pytest.approx(100 * (np.exp(-0.2801585) - 1))


def test_placebo_trials_reject_at_the_level_and_find_a_planted_effect(
    dallas: ModuleType, public_data: Data, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--allocations", "40", "--out", str(tmp_path)]
    assert dallas.main(["--data", str(public_data("dallas")), *options]) == 0
    placebos = pd.read_csv(tmp_path / "placebos.csv").set_index(["outcome", "placebo"])
    # 99 % of binomial(40, .05): 0 to 6; over the three outcomes together at least one.
    rejected = (placebos[["p_value", "p_planted"]] <= 0.05).groupby("outcome").sum()
    assert (rejected["p_value"] <= 6).all()
    assert rejected["p_value"].sum() > 0
    assert (rejected["p_planted"] >= 8).all()
    assert rejected.loc["force", "p_planted"] >= 20
    printed = capsys.readouterr().out
    # 8,448 FILENUM, of which 58 begin with a blank division and 10 with O/T.
    for told in ("8380 force", "blank unit", "unit O/T", "no roster", "would be inflated", "detectable"):
        assert told in printed
    assert "Dallas placebo wedge" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_missing_folder_says_where_the_data_are(
    dallas: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert dallas.main(["--data", str(tmp_path / "absent"), "--out", str(out)]) == 2
    message = capsys.readouterr().err
    assert str(tmp_path / "absent") in message
    assert "www.dallasopendata.com" in message
    assert not out.exists()


def test_a_lacking_column_is_named_with_its_file(
    dallas: ModuleType, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = YEAR_2017.replace("CIT_INJURE", "INJURED")
    (folder / "response_to_resistance_2017.csv").write_text(changed, encoding="utf-8")
    assert dallas.main(["--data", str(folder), "--out", str(tmp_path / "out")]) == 2
    assert "2017.csv has no column CIT_INJURE or CIT_INJURED." in capsys.readouterr().err
