"""The committed table of type-I errors says what the defaults rest on, and its command still runs."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

FOLDER = Path(__file__).parents[2] / "validation"


@pytest.fixture(scope="module")
def table():
    return pd.read_csv(FOLDER / "type_one_error.csv")


def test_every_default_holds_its_level_and_its_coverage(table):
    assert set(table["clusters"]) == {6, 9, 12, 20, 50}
    assert (table.groupby(["clusters", "officers"]).size() == 6).all()
    assert table["simulations"].min() >= 1000
    default = table[table["default"]]
    assert default["type_one_error"].between(0.03, 0.07).all()
    assert default["coverage"].between(0.93, 0.97).all()


def test_the_plain_sandwich_does_not(table):
    plain = table[table["method"].str.startswith("plain sandwich")].set_index("clusters")
    assert (plain.loc[plain.index <= 20, "type_one_error"] > 0.07).all()
    assert not plain["default"].any()


def test_the_command_that_made_it_runs():
    spec = importlib.util.spec_from_file_location("type_one_error", FOLDER / "type_one_error.py")
    study = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(study)
    rows = study.cell(6, "independent", 5)
    assert np.isfinite(rows[["type_one_error", "coverage", "power"]].to_numpy()).all()
    assert "| 6 | independent |" in study.as_markdown(rows, 5)
