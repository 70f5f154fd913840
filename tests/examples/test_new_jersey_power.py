"""The New Jersey example counts incidents once, and says who can detect what."""

import numpy as np
import pandas as pd
import pytest

REPORTS = """\
AgencyName,UserID,IncidentID,IncidentDate,OfficerInjuriesInjured,SubjectInjuredInIncident
Small PD,1,A,2021-01-05,False,No
Small PD,2,A,2021-01-05,True,Yes
Small PD,2,B,2022-03-01,False,No
Small PD,3,C,2020-12-31,True,Yes
Large PD,7,A,2021-05-01,False,Yes
Large PD,8,D,2023-12-31,False,No
Large PD,8,E,2024-01-01,True,Yes
"""


@pytest.fixture(scope="module")
def new_jersey(example):
    return example("new_jersey_power")


def test_an_incident_of_several_officers_counts_once_and_only_in_the_three_years(new_jersey, tmp_path):
    file = tmp_path / "reports.csv"
    file.write_text(REPORTS, encoding="utf-8")
    agencies, _ = new_jersey.agencies_of(new_jersey.read_reports(file))
    small = agencies.set_index("AgencyName").loc["Small PD"]
    assert small.to_dict() == {"officers": 2, "force": 2, "citizen_injury": 1, "officer_injury": 1}
    large = agencies.set_index("AgencyName").loc["Large PD"]
    assert large.to_dict() == {"officers": 2, "force": 2, "citizen_injury": 1, "officer_injury": 0}


def test_the_shape_is_the_one_officers_were_drawn_with(new_jersey):
    rng = np.random.default_rng(2)
    rows = [
        {
            "AgencyName": f"{agency:03d}",
            "UserID": f"{agency}-{officer}",
            "IncidentID": f"{agency}-{officer}-{n}",
        }
        for agency in range(150)
        for officer in range(20)
        for n in range(rng.poisson(5 * rng.gamma(0.8) / 0.8))
    ]
    reports = pd.DataFrame(rows).assign(
        date=pd.Timestamp("2021-01-01"), SubjectInjuredInIncident="No", OfficerInjuriesInjured="False"
    )
    _, shape = new_jersey.agencies_of(reports)
    # Officers without any report are not in such a file, so the officers seen are more alike.
    assert 0.8 < shape < 1.4


def test_no_agency_of_the_state_can_detect_a_fall_of_a_fifth_alone(new_jersey, public_data, tmp_path, capsys):
    data = public_data("new_jersey/use_of_force_2020-10_2024-10.parquet")
    out = tmp_path / "out"
    words = ["--data", str(data), "--out", str(out), "--agency", "Marlboro Twp PD", "--sims", "0"]
    assert new_jersey.main(words) == 0
    said = capsys.readouterr().out
    assert "use-of-force incidents: 0 of 517 agencies can detect a 20 % fall alone" in said
    assert "With 39 officers and 1.4 use-of-force incidents a month this agency cannot detect" in said
    table = pd.read_csv(out / "agencies.csv")
    assert len(table) == 3 * 517
    assert (out / "agencies.svg").stat().st_size > 10_000


def test_data_that_are_not_there_are_explained(new_jersey, capsys, tmp_path):
    assert new_jersey.main(["--data", str(tmp_path / "no.parquet")]) == 2
    assert "njoaguof" in capsys.readouterr().err
