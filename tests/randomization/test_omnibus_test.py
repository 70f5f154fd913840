import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

from rct.errors import DataError
from rct.randomization import balance_test, randomize, standardized_differences

REFERENCES = {
    item["id"]: item
    for item in json.loads(
        (Path(__file__).parent / "restriction_references.json").read_text(encoding="utf-8")
    )["items"]
}
CASES = ["8x2", "10x3-strata"]


@pytest.fixture
def observed(declared):
    """Give the allocation of a reference: the mechanism randomized, the assignment that of the reference."""

    def assign(inputs, *, strata=None):
        names = [f"u{i}" for i in range(len(inputs["z"]))]
        table = zip(*inputs["covariates"], strict=True)
        roster = pd.DataFrame({"officer_id": names, "stratum": [str(s) for s in strata or names]})
        for column, values in zip(inputs["columns"], table, strict=True):
            roster[column] = [str(value) for value in values]
        trial = declared(block='["stratum"]' if strata else "[]")
        made = randomize(trial, roster, seed=1)
        arms = ["ICAT" if z else "usual" for z in inputs["z"]]
        frame = made.frame.assign(sequence=inputs["z"], arm=arms, starts=inputs["z"])
        return replace(made, frame=frame), tuple(inputs["columns"])

    return assign


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("deviation", ["pooled", "average"])
def test_standardized_differences_and_variance_ratios_are_those_of_ritools(observed, case, deviation):
    reference = REFERENCES[f"balance/{case}/smd-{deviation}"]
    inputs = REFERENCES[f"balance/{case}/smd-pooled"]["inputs"]
    allocation, columns = observed(inputs)
    table = standardized_differences(allocation, columns, deviation=deviation)
    assert table["covariate"].tolist() == list(columns)
    assert set(table["reference"]) == {"usual"}
    np.testing.assert_allclose(table["standardized_difference"], reference["value"], rtol=1e-9)
    ratios = REFERENCES[f"balance/{case}/variance-ratio"]["value"]
    np.testing.assert_allclose(table["variance_ratio"], ratios, rtol=1e-9)


@pytest.mark.parametrize(
    ("case", "suffix"), [("8x2", ""), ("10x3-strata", ""), ("10x3-strata", "-stratified")]
)
def test_the_omnibus_statistic_and_its_exact_p_are_those_of_ritools(observed, case, suffix):
    reference = REFERENCES[f"balance/{case}/d2{suffix}"]
    inputs = reference["inputs"]
    strata = inputs.get("strata", inputs.get("stratum")) if suffix else None
    allocation, columns = observed(inputs, strata=strata)
    found = balance_test(allocation, columns, draws="exact")
    values = (found.statistic, found.df, chi2.sf(found.statistic, found.df))
    assert values == pytest.approx(reference["value"], rel=1e-8)
    draws, _, p_value = REFERENCES[f"balance/{case}/exact-p{suffix}"]["value"]
    assert (found.draws, found.p_value) == (draws, pytest.approx(p_value, abs=1e-12))


@pytest.mark.parametrize(
    ("case", "suffix"), [("8x2", ""), ("10x3-strata", ""), ("10x3-strata", "-stratified")]
)
def test_the_omnibus_test_of_one_covariate_is_the_square_of_its_z(observed, case, suffix):
    reference = REFERENCES[f"balance/{case}/z{suffix}"]
    inputs = reference["inputs"]
    strata = inputs.get("strata", inputs.get("stratum")) if suffix else None
    allocation, columns = observed(inputs, strata=strata)
    found = [balance_test(allocation, (column,), draws="exact").statistic ** 0.5 for column in columns]
    np.testing.assert_allclose(found, np.abs(reference["value"]), rtol=1e-8)


def test_random_draws_count_the_observed_allocation_as_one_of_them(observed):
    inputs = REFERENCES["balance/8x2/d2"]["inputs"]
    allocation, columns = observed(inputs)
    found = balance_test(allocation, columns, draws=999, seed=1)
    assert found.p_value == pytest.approx(22 / 70, abs=0.05)
    assert (found.p_value * 1000) % 1 == pytest.approx(0, abs=1e-9)


def test_the_mean_of_the_statistic_over_a_wedge_is_its_degrees_of_freedom(declared):
    roster = pd.DataFrame({"officer_id": list("abcd"), "size": ["1", "2", "4", "9"]})
    trial = declared('kind = "stepped-wedge"\nperiods = 6\nbaseline = 1')
    allocation = randomize(trial, roster, seed=1)
    statistics = []
    for draw in allocation.draws("exact"):
        one = replace(allocation, frame=allocation.frame.assign(sequence=draw.astype("int64")))
        found = balance_test(one, ("size",), draws="exact")
        statistics.append(found.statistic)
    assert found.df == 3
    assert np.mean(statistics) == pytest.approx(3)


def test_in_a_wedge_every_sequence_is_compared_with_all_others(declared):
    roster = pd.DataFrame({"officer_id": list("abcd"), "size": ["1", "2", "4", "9"]})
    trial = declared('kind = "stepped-wedge"\nperiods = 4\nbaseline = 1\nper_step = 2')
    allocation = randomize(trial, roster, seed=1)
    table = standardized_differences(allocation, ("size",))
    assert table["group"].tolist() == ["ICAT from 2", "ICAT from 3"]
    assert set(table["reference"]) == {"all others"}
    assert table["difference"].sum() == pytest.approx(0)


def test_balance_without_a_covariate_or_a_value_is_refused(declared, officers):
    allocation = randomize(declared(), officers(4).assign(years=["1", "", "2", "3"]), seed=1)
    with pytest.raises(DataError, match="named covariates only"):
        balance_test(allocation, draws="exact")
    with pytest.raises(DataError, match="years has no value for 001"):
        balance_test(allocation, ("years",), draws="exact")
