from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from rct.estimates import Estimate, Estimates
from rct.panel import Panel
from rct.randomization import randomize
from rct.trial import Trial

WEDGE = """
format = 1
name = "Riverside ICAT"
question = "Does ICAT training reduce use of force?"
[units]
randomize = "division"
measure = "officer"
id = "officer_id"
[arms]
control = "usual training"
treatments = ["ICAT"]
[schedule]
kind = "stepped-wedge"
start = 2018-11-01
period = "month"
periods = 12
baseline = 4
step = 2
[[outcomes]]
name = "force"
label = "Use-of-force incidents"
primary = true
[[outcomes]]
name = "officer_injury"
label = "Officer injuries"
[analysis]
primary = { estimator = "poisson", effect = "exposure-time", average = [1, 3] }
secondary = [{ estimator = "poisson", effect = "constant" }, { estimator = "bayesian", model = "marginal" }]
"""


@pytest.fixture(scope="session")
def trial():
    return Trial.parse(WEDGE)


@pytest.fixture(scope="session")
def roster():
    return pd.DataFrame(
        {
            "officer_id": [f"{i:03d}" for i in range(40)],
            "division": [f"Division {1 + i % 4}" for i in range(40)],
        }
    )


@pytest.fixture(scope="session")
def allocation(trial, roster):
    return randomize(trial, roster, seed="riverside")


@pytest.fixture(scope="session")
def panel(trial, allocation):
    return simulated_by_hand(trial, allocation)


@pytest.fixture(scope="session")
def results(trial):
    return wedge_results(trial)


def simulated_by_hand(trial, allocation):
    starts = dict(zip(allocation.frame["unit"], allocation.frame["starts"], strict=True))
    people = allocation.roster[[trial.units.id, trial.units.randomize]].set_axis(
        ["unit", "randomized"], axis=1
    )
    rows = people.merge(
        pd.DataFrame({"period": pd.period_range("2018-11", periods=12, freq="M").astype(str)}), how="cross"
    )
    rows["number"] = rows["period"].rank(method="dense").astype(int)
    rows["treated"] = (rows["number"] >= rows["randomized"].map(starts)).astype(float)
    generator = np.random.default_rng(5)
    for outcome, rate in (("force", 0.6), ("officer_injury", 0.15)):
        rows[outcome] = generator.poisson(rate * np.where(rows["treated"] > 0, 0.7, 1.0))
    panel = Panel.from_frame(
        rows,
        unit="unit",
        period="period",
        outcomes=["force", "officer_injury"],
        treated="treated",
        randomized="randomized",
    )
    return replace(panel, meta={**panel.meta, "simulated": True, "effects": {"force": {"ICAT": 0.7}}})


@pytest.fixture
def estimate():
    return made_estimate


def made_estimate(outcome, **changes):
    return Estimate(
        **{
            "outcome": outcome,
            "term": "ICAT",
            "arm": "ICAT",
            "reference": "usual training",
            "method": "Poisson, unit and period effects",
            "inference": "cluster-robust CR2, Satterthwaite df (4 clusters: cluster)",
            "estimand": "ITT incidence rate ratio, constant effect",
            "scale": "log",
            "estimate": np.log(0.75),
            "std_error": 0.15,
            "conf_low": np.log(0.6),
            "conf_high": np.log(0.9),
            "p_value": 0.0313,
            "n_units": 40,
            "n_clusters": 4,
            "n_events": 300.0,
        }
        | changes
    )


def wedge_results(trial):
    rows = []
    for outcome in ("force", "officer_injury"):
        rows.append(
            made_estimate(
                outcome,
                term="ICAT, mean over exposure times 1–3",
                estimand="ITT incidence rate ratio, mean over exposure times 1–3",
                estimate=np.log(0.823),
                conf_low=np.log(0.678) if outcome == "force" else np.log(0.5),
                conf_high=np.log(0.968) if outcome == "force" else np.log(1.4),
                p_value=0.0004 if outcome == "force" else 0.31,
                p_adjusted=0.0008 if outcome == "force" else 0.31,
                warning="only 4 clusters",
                notes={"role": "primary"},
            )
        )
    for outcome in ("force", "officer_injury"):
        rows.append(made_estimate(outcome, warning="only 4 clusters", notes={"role": "secondary"}))
        rows.append(
            made_estimate(
                outcome,
                method="Bayesian, marginal Poisson",
                inference="posterior (marginal Poisson, nutpie, 4 × 1000 draws)",
                p_value=float("nan"),
                probability_reduced=0.9712,
                notes={"role": "secondary"},
            )
        )
    return Estimates(tuple(rows), meta={"trial_hash": trial.hash, "simulated": True})
