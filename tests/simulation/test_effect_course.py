"""The effect along the time since training began, and what one indicator makes of it."""

import numpy as np
import pytest

import rct
from rct.frequentist.replicate_fits import exposure_time_design, fit_batch
from rct.simulation.effect_course import effect_share, exposure_times
from rct.trial_tables import Course

TIMES = np.arange(0, 7)


@pytest.mark.parametrize(
    ("course", "shares"),
    [
        (Course(), [0, 1, 1, 1, 1, 1, 1]),
        (Course(delay=2), [0, 0, 0, 1, 1, 1, 1]),
        (Course(growth=4), [0, 0.25, 0.5, 0.75, 1, 1, 1]),
        (Course(fade=5), [0, 1, 0.75, 0.5, 0.25, 0, 0]),
        (Course(fade=5, refresher=3), [0, 1, 0.75, 0.5, 1, 0.75, 0.5]),
    ],
)
def test_a_course_is_what_its_keys_say(course, shares):
    assert effect_share(course, TIMES).tolist() == shares


def test_exposure_time_counts_from_the_last_beginning_and_not_in_transition():
    dose = np.array([[0, np.nan, 1, 1, 0, 1], [0, 0, 0, 0, 0, 0]])
    assert exposure_times(dose).tolist() == [[0, 0, 1, 2, 0, 1], [0] * 6]


@pytest.mark.parametrize(
    ("course", "indicator", "mean"),
    [
        ("growth = 12", -0.038, -0.163),
        ("delay = 3", -0.035, -0.225),
        ("fade = 12", -0.282, -0.150),
    ],
)
def test_one_indicator_is_not_the_mean_of_a_changing_effect(course, indicator, mean):
    """Expected counts on the shipped schedule; the figures were computed elsewhere, by another program."""
    from rct.simulation.truth import declared_truth

    text = rct.load("louisville_icat").to_toml().replace("trend = 0.0\n", f"course = {{ {course} }}\n")
    trial = rct.Trial.parse(text)
    truth = declared_truth(trial, {"force": np.exp(-0.3)})
    roster = rct.simulation.synthetic_roster(trial)
    allocation = rct.randomize(trial, roster, seed="expected counts")
    sequence = allocation.frame["sequence"].to_numpy()
    expected = 5 * np.exp(truth.log_effects(allocation.sequences)[0, sequence])[None]
    dose = allocation.sequences.pivot(index="sequence", columns="period", values="dose").to_numpy()[sequence]
    starts = allocation.frame["starts"].to_numpy()
    constant = fit_batch(expected, dose[None, ..., None], np.ones(1)).estimate[0]
    assert constant == pytest.approx(indicator, abs=5e-4)
    design = exposure_time_design(starts, dose)[None]
    contrast = np.where(np.arange(design.shape[-1]) < 12, 1 / 12, 0.0)
    # Counts without noise leave no residual to estimate a variance from, so the combination is read off.
    assert effect_share(trial.power.course, np.arange(1, 13)).mean() * -0.3 == pytest.approx(mean, abs=5.1e-4)
    noisy = np.random.default_rng(1).poisson(2000 * expected)
    assert fit_batch(noisy, design, contrast).estimate[0] == pytest.approx(mean, abs=0.02)


def test_a_refresher_without_fading_is_refused():
    text = rct.load("louisville_icat").to_toml().replace("trend = 0.0\n", "course = { refresher = 6 }\n")
    with pytest.raises(rct.TrialError, match="refresher without fade"):
        rct.Trial.parse(text)
