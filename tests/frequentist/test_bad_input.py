"""Every estimator on designs that have no answer: one message that names the cause, never a number.

Where an estimator has an answer all the same (a model-based one with one treated cluster, a difference of
means without any event in one arm), it is named in `ANSWERS`.
"""

import numpy as np
import pandas as pd
import pytest

import rct
from rct.estimates import COLUMNS
from rct.frequentist import (
    difference_in_means,
    equivalence,
    exposure_curve,
    first_differences,
    gee,
    linear,
    negative_binomial,
    poisson,
    pretrend_test,
    randomization_test,
    staggered,
    two_way_weights,
    wild_bootstrap,
)

UNITS, PERIODS = 24, 8


def frame_of(parallel):
    unit, period = np.indices((UNITS, PERIODS))
    starts = np.array([5, 0, 5, 0] if parallel else [3, 5, 7, 0])[unit % 4].ravel()
    frame = pd.DataFrame(
        {"unit": [f"{u:02d}" for u in unit.ravel()], "period": period.ravel() + 1, "start": starts,
         "force": np.random.default_rng(4).negative_binomial(2, 0.4, UNITS * PERIODS),
         "age": ((unit * 7 + period * 3 + unit * period) % 11 + unit / 3).ravel(),
         "squad": [f"s{u // 4}" for u in unit.ravel()], "probability": 0.5}
    )  # fmt: skip
    return frame.assign(treated=((starts > 0) & (frame["period"] >= starts)).astype(float))


def panel_of(frame, by="start"):
    return rct.Panel.from_frame(
        frame, unit="unit", period="period", outcomes=["force"], covariates=["age"], cluster="squad",
        probability="probability", **{"starts" if by == "start" else "treated": by},
    )  # fmt: skip


def without_events(frame, where):
    return frame.assign(force=np.where(where, 0, frame["force"]))


def one_treated(frame):
    return frame.assign(start=np.where(frame["unit"] == "00", 5, 0), squad=frame["unit"])


PATHOLOGIES = {
    "nobody treated": lambda f: panel_of(f.assign(start=0)),
    "all treated throughout": lambda f: panel_of(f.assign(start=1)),
    "no post-period": lambda f: panel_of(f.assign(start=np.where(f["start"] > 0, 99, 0))),
    "all zeros": lambda f: panel_of(f.assign(force=0)),
    "one cluster": lambda f: panel_of(f.assign(squad="one")),
    "one treated cluster": lambda f: panel_of(one_treated(f)),
    "all cross at once": lambda f: panel_of(f.assign(start=4)),
    "constant covariate": lambda f: panel_of(f.assign(age=40.0)),
    "missing covariate": lambda f: panel_of(f.assign(age=np.nan)),
    "covariate is treatment": lambda f: panel_of(f.assign(age=f["treated"])),
    "dose never varies": lambda f: panel_of(f.assign(treated=0.5), by="treated"),
    "no event when treated": lambda f: panel_of(without_events(f, f["treated"] > 0)),
    "no event untreated": lambda f: panel_of(without_events(f, f["treated"] == 0)),
    "one unit": lambda f: panel_of(f[f["unit"] == "00"]),
}
CAUSES = {
    "nobody treated": "no row of the panel is treated",
    "all treated throughout": "every row of the panel is treated|every unit is treated|same in every draw",
    "no post-period": "no row of the panel is treated",
    "all zeros": "no event|too few events|all zeros",
    "one cluster": "lie in one cluster",
    "one treated cluster": "one cluster alone is treated|cohorts of one randomized unit"
    "|fewer than two randomized units",
    "all cross at once": "explained by|nothing to compare with|same period|same in every draw",
    "constant covariate": "age.*(explained by|same|explain nothing)|covariate of the null model is explained"
    "|a covariate or another treatment term is explained",
    "missing covariate": "covariate.*age|age.*missing",
    "covariate is treatment": "age.*explained by|age: explained|covariates.*explain the treatment"
    "|treatment is explained|age × treated|age.*same",
    "dose never varies": "every row of the panel is treated|every unit is treated|dose 1",
    "no event when treated": "no event carries information|no finite estimate",
    "no event untreated": "no event happens without treatment|no events there",
    "one unit": "one cluster|explained by|nothing to compare|start in the same period|same in every draw",
}


def redraw(panel):
    starts = panel.frame.groupby("randomized")["starts"].first().reindex(panel.randomized_units).to_numpy()
    rng = np.random.default_rng(1)
    return np.stack([rng.permutation(starts) for _ in range(39)])


ESTIMATORS = {
    "poisson": poisson,
    "poisson without effects": lambda p, o, **k: poisson(p, o, fixed_effects=("period",), **k),
    "poisson exposure time": lambda p, o, **k: poisson(p, o, effect="exposure-time", average=(1, 2), **k),
    "poisson gamma": lambda p, o, **k: poisson(p, o, random_effects="gamma", **k),
    "poisson normal": lambda p, o, **k: poisson(p, o, random_effects="normal", **k),
    "linear curve": lambda p, o, **k: exposure_curve(p, o, average=(1, 2), **k),
    "exponential curve": lambda p, o, **k: exposure_curve(p, o, curve="exponential", average=(1, 2), **k),
    "negative binomial": negative_binomial,
    "negative binomial gamma": lambda p, o, **k: negative_binomial(p, o, random_effects="gamma", **k),
    "negative binomial normal": lambda p, o, **k: negative_binomial(p, o, random_effects="normal", **k),
    "gee": lambda p, o, **k: gee(p, o, correlation="exchangeable", **k),
    "linear": linear,
    "first differences": first_differences,
    "difference in means": difference_in_means,
    "staggered": staggered,
    "randomization test": lambda p, o, **k: randomization_test(p, o, allocation=redraw(p), **k),
    "wild bootstrap": lambda p, o, **k: wild_bootstrap(p, o, draws=99, seed=1, **k),
    "two-way weights": two_way_weights,
    "pretrend test": pretrend_test,
}
MODEL_BASED = {
    "poisson gamma", "poisson normal", "negative binomial", "negative binomial gamma",
    "negative binomial normal",
}  # fmt: skip
RATES = {"linear", "first differences", "difference in means", "staggered"}
NO_CLUSTERS = {"difference in means", "staggered", "randomization test", "two-way weights", "pretrend test"}
NO_COVARIATES = {"staggered", "two-way weights"}
# Who has an answer although others have none, and why it means something.
ANSWERS = {
    "one cluster": MODEL_BASED | NO_CLUSTERS,  # works on units, not on clusters
    "one treated cluster": MODEL_BASED | {"randomization test", "two-way weights"},
    "constant covariate": NO_COVARIATES,
    "missing covariate": NO_COVARIATES,
    "covariate is treatment": NO_COVARIATES,
    "no event when treated": RATES | {"randomization test", "pretrend test"},  # differences exist, so does p
    "no event untreated": RATES | {"randomization test"},
}


@pytest.fixture(scope="module")
def panels():
    return {
        (name, parallel): make(frame_of(parallel))
        for name, make in PATHOLOGIES.items()
        for parallel in (False, True)
    }


@pytest.mark.parametrize("pathology", PATHOLOGIES)
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_design_without_an_answer_is_told_with_its_cause(panels, estimator, pathology):
    panel = panels[pathology, estimator == "difference in means"]
    options = {"covariates": ["age"]} if "covariate" in pathology and estimator not in NO_COVARIATES else {}
    if estimator in ANSWERS.get(pathology, ()):
        _require_meaning(ESTIMATORS[estimator](panel, "force", **options))
        return
    with pytest.raises(rct.RctError, match=CAUSES[pathology]):
        ESTIMATORS[estimator](panel, "force", **options)


def _require_meaning(answer):
    """A finite estimate with a finite error or limits; or none, with a warning that says so."""
    if not isinstance(answer, rct.Estimate):
        return
    if np.isnan(answer.estimate):
        assert "no estimate" in answer.warning
        assert 0 < answer.p_value <= 1
    else:
        assert np.isfinite(answer.std_error) or not np.isnan(answer.conf_low)


@pytest.mark.parametrize("estimator", [name for name in ESTIMATORS if name != "difference in means"])
def test_the_same_design_without_a_fault_has_an_answer(estimator):
    """So that the refusals above are of the fault and nothing else."""
    answer = ESTIMATORS[estimator](panel_of(frame_of(parallel=False)), "force")
    _require_meaning(answer)


LEVELS = {name for name in ESTIMATORS if name not in ("two-way weights", "pretrend test")}


@pytest.mark.parametrize("estimator", sorted(LEVELS))
def test_every_estimator_has_a_summary_a_tidy_frame_and_limits_at_any_level(estimator):
    panel = panel_of(frame_of(parallel=estimator == "difference in means"))
    wide, narrow = (ESTIMATORS[estimator](panel, "force", level=level) for level in (0.95, 0.8))
    assert list(wide.frame.columns) == list(COLUMNS)
    assert len(wide.frame) == 1
    assert wide.frame["estimate"].item() == wide.estimate
    for told in ("force", wide.estimand, wide.method, wide.inference):
        assert told in wide.summary()
    assert wide.conf_low < narrow.conf_low <= narrow.estimate <= narrow.conf_high < wide.conf_high
    excluded = equivalence(narrow, margin=(1e-9, 1e9) if wide.scale == "log" else 1e9, level=0.9)
    assert excluded.equivalent
    assert (excluded.conf_low, excluded.conf_high) == pytest.approx((narrow.conf_low, narrow.conf_high))
    assert not equivalence(narrow, margin=0.999999 if wide.scale == "log" else 1e-9, level=0.9).equivalent
    assert "excluded (90 % one-sided tests)" in excluded.summary()


def test_a_parallel_design_without_a_fault_has_a_difference_in_means():
    _require_meaning(difference_in_means(panel_of(frame_of(parallel=True)), "force"))
