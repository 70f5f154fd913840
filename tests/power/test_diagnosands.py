"""Diagnosands of hand-made replicates."""

import math

import numpy as np
import pandas as pd
import pytest

from rct.power.diagnosands import diagnose


def replicates(estimates, p_values, truth, covered=True):
    n = len(estimates)
    return pd.DataFrame(
        {
            "replicate": range(n), "analysis": "primary", "outcome": "force", "arm": "ICAT",
            "effect": math.exp(truth), "truth": truth, "estimate": estimates, "covered": covered,
            "excludes_null": False,
            "p_value": p_values,
        }
    )  # fmt: skip


def test_power_bias_and_exaggeration_are_what_the_definitions_say():
    row = diagnose(replicates([-0.4, -0.2, 0.6, -0.1], [0.01, 0.2, 0.05, 0.5], -0.2), 0.05).iloc[0]
    assert row["power"] == 0.5
    assert row["mc_error"] == pytest.approx(0.25)
    assert row["bias"] == pytest.approx(np.mean([-0.2, 0.0, 0.8, 0.1]))
    assert row["type_s"] == 0.5
    assert row["type_m"] == pytest.approx((2 + 3) / 2)


@pytest.mark.parametrize("p", [0.5, 0.001])
def test_none_or_all_of_the_simulations_are_not_known_without_error(p):
    row = diagnose(replicates([-0.4] * 8, [p] * 8, -0.2), 0.05).iloc[0]
    assert row["power"] == (p < 0.05)
    assert row["mc_error"] == pytest.approx(math.sqrt(0.5 / 9 * (1 - 0.5 / 9) / 8))


def test_a_false_positive_has_a_p_of_alpha_or_less():
    rows = replicates([-0.4] * 4, [0.01] * 4, -0.2).assign(null_p_value=[0.05, 0.04, 0.06, 0.9])
    assert diagnose(rows, 0.05)["false_positive"].iloc[0] == 0.5


def test_rows_stand_together_by_outcome_however_they_were_computed():
    one = replicates([-0.4], [0.01], -0.2)
    by_analysis = [
        one.assign(analysis=analysis, outcome=outcome)
        for analysis in ("a", "b")
        for outcome in ("force", "complaints")
    ]
    frame = diagnose(pd.concat(by_analysis), 0.05)
    assert list(zip(frame["outcome"], frame["analysis"], strict=True)) == [
        ("force", "a"), ("force", "b"), ("complaints", "a"), ("complaints", "b"),
    ]  # fmt: skip


def test_without_an_effect_there_is_no_sign_to_miss():
    row = diagnose(replicates([-0.4, 0.2], [0.01, 0.2], 0.0), 0.05).iloc[0]
    assert row["power"] == 0.5
    assert math.isnan(row["type_s"])
    assert math.isnan(row["type_m"])


def test_a_replicate_that_cannot_be_estimated_counts_against_power():
    row = diagnose(replicates([-0.4, math.nan], [0.01, math.nan], -0.2), 0.05).iloc[0]
    assert (row["power"], row["failed"], row["sims"]) == (0.5, 1, 2)
