"""Effects that the periods' own would take up, or that one side of the data bounds, are refused or told."""

import numpy as np
import pandas as pd
import pytest

import rct
from rct.bayesian.count_rows import count_rows
from rct.bayesian.fitting import MODELS, fit_warnings, model_priors
from rct.bayesian.identified_effects import require_identified


def frame_of(starts, *, officers=12, months=6):
    frame = pd.DataFrame(
        [(f"o{i:02d}", starts[i % len(starts)], t, i % 2) for i in range(officers)
         for t in range(1, months + 1)],
        columns=["officer", "start", "month", "district"],
    )  # fmt: skip
    frame["trained"] = ((frame["month"] >= frame["start"]) & (frame["start"] > 0)).astype(float)
    return frame.assign(force=np.random.default_rng(1).poisson(1.0, len(frame)), arm="A")


def panel_of(frame, **options):
    return rct.Panel.from_frame(
        frame, unit="officer", period="month", outcomes=["force"], treated="trained", arm="arm", **options
    )


def judged(panel, priors=None):
    rows = count_rows(panel, ["force"])
    used = model_priors(MODELS["marginal"], rows, priors)
    require_identified(rows, used)
    return fit_warnings("force", rows, used, MODELS["marginal"])


def test_a_start_common_to_all_is_refused_and_the_comparison_of_before_and_after_is_named_as_such():
    """With period effects the posterior was the prior, normal(0, .5), and said so nowhere."""
    panel = panel_of(frame_of([4]))
    for refuses in (rct.bayesian.fit, rct.bayesian.laplace):
        with pytest.raises(rct.EstimationError, match="in every period either all rows are treated or none"):
            refuses(panel, "force", seed=1)
    (warning,) = judged(panel, {"period": False})
    assert warning.startswith("no period holds treated and untreated rows")


def test_blocks_with_periods_of_their_own_need_a_control_each():
    """District 0 starts in month 3 and district 1 never: across districts only is there a comparison."""
    frame = frame_of([3, 0])
    assert judged(panel_of(frame)) == []
    with pytest.raises(rct.EstimationError, match="in every period either all rows"):
        judged(panel_of(frame, block="district"))


def test_arms_that_differ_nowhere_are_named():
    frame = frame_of([3, 0, 3])
    frame["arm"] = np.where(frame["officer"].str[1:].astype(int) % 3 == 2, "B", "A")
    assert judged(panel_of(frame)) == []
    never_seen = frame["force"].where(~((frame["arm"] == "B") & (frame["trained"] > 0)))
    with pytest.raises(rct.EstimationError, match="do not tell the effect of B from"):
        judged(panel_of(frame.assign(force=never_seen)))


def test_staggered_starts_and_doses_are_identified():
    frame = frame_of([2, 3, 4, 5])
    assert judged(panel_of(frame)) == []
    dosed = frame_of([4])
    dosed["trained"] *= np.where(dosed["district"] == 1, 1.0, 0.5)
    assert judged(panel_of(dosed)) == []


@pytest.mark.parametrize(
    ("silent", "words"),
    [
        (1.0, "no event in treated rows: how large a reduction"),
        (0.0, "no event without treatment: how large"),
    ],
)
def test_data_that_bound_an_effect_on_one_side_say_so(silent, words):
    frame = frame_of([0, 3])
    frame.loc[frame["trained"] == silent, "force"] = 0
    assert any(warning.startswith(words) for warning in judged(panel_of(frame)))


def test_of_several_arms_the_one_without_events_is_named():
    frame = frame_of([3, 0, 3])
    frame["arm"] = np.where(frame["officer"].str[1:].astype(int) % 3 == 2, "B", "A")
    frame.loc[(frame["arm"] == "B") & (frame["trained"] > 0), "force"] = 0
    (warning,) = judged(panel_of(frame))
    assert warning.startswith("no event in treated rows of B: ")
