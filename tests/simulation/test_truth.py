"""What a trial file assumes: rates, effects and nesting, read and checked."""

import math
from dataclasses import replace

import numpy as np
import pytest

from rct import TrialError, load
from rct.schedule import sequence_table, treated_from, untreated
from rct.simulation.truth import declared_truth, mean_incident_size

TRUTH = declared_truth(load("louisville_icat"))


def test_the_louisville_file_declares_the_published_effects_and_its_assumptions():
    assert TRUTH.outcomes == ("force", "citizen_injury", "officer_injury")
    assert [TRUTH.ratios[name]["ICAT"] for name in TRUTH.outcomes] == [0.72, 0.74, 0.64]
    assert TRUTH.parents == (-1, 0, 0)


def test_effects_given_replace_the_declared_ones():
    truth = declared_truth(load("louisville_icat"), {"force": 1.0, "officer_injury": {"ICAT": 0.5}})
    assert [truth.ratios[name]["ICAT"] for name in truth.outcomes] == [1.0, 0.74, 0.5]


def test_effects_are_log_linear_in_dose_and_absent_in_transition():
    half = treated_from("ICAT", 3, dose=0.5, periods=4, transition=1)
    sequences = sequence_table([untreated("usual training", 4), half])
    effect = TRUTH.log_effects(sequences)[0]
    assert effect == pytest.approx(
        np.array([[0, 0, 0, 0], [0, 0, 0.5 * math.log(0.72), 0.5 * math.log(0.72)]])
    )


def test_an_injury_given_an_incident_is_the_ratio_of_the_two_rates():
    zero = np.zeros((3, 1, 1))
    assert TRUTH.nested_probabilities(0, zero).ravel() == pytest.approx([0.02 / 0.05, 0.012 / 0.05])


def test_a_probability_above_one_is_an_error():
    truth = replace(TRUTH, rates=(0.05, 0.06, 0.012))
    with pytest.raises(TrialError, match=r"citizen_injury would happen in 120 % of force incidents"):
        truth.nested_probabilities(0, np.zeros((3, 1, 1)))
    truth = replace(TRUTH, rates=(0.05, 0.03, 0.03), injury_overlap=0.0)
    with pytest.raises(TrialError, match="injury_overlap = 0 cannot be"):
        truth.nested_probabilities(0, np.zeros((3, 1, 1)))


@pytest.mark.parametrize("effects", [{"forse": 0.8}, {"force": {"ICATT": 0.8}}])
def test_an_effect_on_something_unknown_is_refused_with_the_nearest_name(effects):
    with pytest.raises(TrialError, match="did you mean"):
        declared_truth(load("louisville_icat"), effects)


def test_the_size_of_incidents_has_the_declared_size_weighted_mean():
    for weighted in (1.0, 1.5, 2.0, 2.5):
        mean = mean_incident_size(weighted)
        assert ((mean - 1) + mean**2) / mean == pytest.approx(weighted)
