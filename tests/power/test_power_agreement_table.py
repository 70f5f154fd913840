"""The committed table sets closed forms beside simulations, and its command still runs."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

FOLDER = Path(__file__).parents[2] / "validation"
ROUGH = "rough, and said to be"


@pytest.fixture(scope="module")
def table():
    return pd.read_csv(FOLDER / "power_agreement.csv")


@pytest.fixture(scope="module")
def study():
    spec = importlib.util.spec_from_file_location("power_agreement", FOLDER / "power_agreement.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_exact_and_large_sample_formulas_agree_with_simulation(table):
    sound = table[table["kind"] != ROUGH]
    assert len(sound) >= 24
    assert sound["design"].nunique() >= 20
    assert (sound["gap"].abs() <= 3).all()
    assert table["simulations"].min() >= 4000


def test_the_normal_formula_overstates_the_power_of_few_clusters(table):
    normal = table[table["formula"] == "cluster_means, normal"]
    assert len(normal) == 2
    assert (normal["simulated"] < normal["closed_form"] - 0.05).all()


def test_the_table_is_of_the_closed_forms_of_today(table, study):
    today = [case[3] for _, case in study.CASES]
    assert table["closed_form"].to_numpy() == pytest.approx(np.array(today), abs=1e-6)


def test_the_command_that_made_it_runs(study):
    cases = [study.CASES[0], study.CASES[15], study.CASES[-1]]
    rows = study.table_of(100, cases)
    assert np.isfinite(rows[["closed_form", "simulated", "gap"]].to_numpy()).all()
    assert rows["design"][2] in study.as_markdown(rows, 100)
