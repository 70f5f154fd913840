"""Small panels made by arithmetic, and the public data where they are present."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rct.panel import Panel

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def references():
    """Values of other tools by name: value, se, tolerance, tool and version."""
    files = HERE.glob("*reference_values.json")
    return {item["id"]: item for file in files for item in json.loads(file.read_text())}


def data_file(name):
    folder = Path(os.environ.get("RCT_DATA", HERE.parents[2] / "shared" / "data"))
    if not (folder / name).exists():
        pytest.skip(f"{name} is not there; set RCT_DATA to the folder that holds it")
    return folder / name


def chicago_panel(name, frame=None):
    frame = pd.read_parquet(data_file(name)) if frame is None else frame
    return Panel.from_frame(
        frame.assign(cohort=frame["first_trained"]),
        unit="uid",
        period="period",
        outcomes=["complaints", "sustained", "force"],
        starts="first_trained",
        covariates=["cohort"],
    )


@pytest.fixture(scope="session")
def chicago():
    return chicago_panel("chicago_pj.parquet")


@pytest.fixture(scope="session")
def chicago_600():
    """Give the 600 officers with the smallest numbers, and the year of each month."""
    frame = pd.read_parquet(data_file("chicago_pj.parquet"))
    frame = frame[frame["uid"] <= 102327].assign(year=lambda f: (f["period"] - 1) // 12)
    assert frame["uid"].nunique() == 600
    return Panel.from_frame(
        frame.assign(cohort=frame["first_trained"]),
        unit="uid",
        period="period",
        outcomes=["complaints", "sustained", "force"],
        starts="first_trained",
        covariates=["cohort", "year"],
    )


@pytest.fixture(scope="session")
def chicago_36_months():
    frame = pd.read_parquet(data_file("chicago_pj.parquet"))
    return chicago_panel("chicago_pj.parquet", frame[frame["period"] <= 36])


@pytest.fixture(scope="session")
def chicago_main():
    return chicago_panel("chicago_pj_main.parquet")


@pytest.fixture(scope="session")
def wedge():
    """Nine divisions, 24 months, one crossing every second month."""
    return Panel.from_frame(
        pd.read_csv(data_file("sw9x24.csv")),
        unit="division",
        period="month",
        outcomes=["force"],
        starts="start",
    )


def officer_frame(n_officers=90, n_months=12):
    """Counts made by arithmetic: unequal cohorts, never-treated officers, officers without an event."""
    officer, month = np.divmod(np.arange(n_officers * n_months), n_months)
    squad = officer % 7
    start = np.array([0, 4, 4, 6, 9, 9, 0])[squad]
    treated = (start > 0) & (month + 1 >= start)
    mixed = (officer * officer * 31 + month * 17 + officer * month * 7 + 3) % 23
    force = np.where(officer % 5 == 4, 0, (mixed < 5 + squad % 3 - treated).astype(int) + (mixed < 2))
    return pd.DataFrame(
        {
            "officer": [f"{o:03d}" for o in officer],
            "month": month + 1,
            "squad": [f"squad {s}" for s in squad],
            "district": [f"district {d}" for d in officer % 2],
            "start": start,
            "treated": treated.astype(int),
            "force": force,
            "hours": 100.0 + (officer * 13 + month * 29) % 61,
            "tenure": (officer * 7 % 20) + month / 12 + (officer * month % 5),
        }
    )


def officer_panel(frame):
    return Panel.from_frame(
        frame,
        unit="officer",
        period="month",
        outcomes=["force"],
        starts="start",
        cluster="squad",
        block="district",
        exposure="hours" if frame["hours"].nunique() > 1 else None,
        covariates=["tenure", "squad"],
    )


@pytest.fixture(scope="session")
def officers():
    return officer_frame()


@pytest.fixture(scope="session")
def equal_exposure(officers):
    return officer_panel(officers.assign(hours=1.0))


@pytest.fixture(scope="session")
def unequal_exposure(officers):
    return officer_panel(officers)
