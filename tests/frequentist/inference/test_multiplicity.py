"""Holm's adjustment, against statsmodels; Westfall and Young's, against their algorithm step by step."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

from rct import Estimate, Estimates, EstimationError
from rct.frequentist import randomization_test, staggered, wild_bootstrap
from rct.frequentist.inference.multiplicity import adjust, holm
from rct.panel import Panel

ROW = Estimate(
    outcome="force", term="ICAT", method="m", inference="i", estimand="e", scale="log", estimate=-0.3
)


@pytest.mark.parametrize(
    "p_values", [[0.01, 0.04, 0.03], [0.02, 0.02, 0.5], [0.9, 0.8, 0.7], [0.004], [0.01, 0.011, 0.012, 0.9]]
)
def test_holm_is_what_statsmodels_says(p_values):
    assert holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]))


def test_outcomes_are_adjusted_within_each_effect():
    rows = [
        replace(ROW, outcome=outcome, term=term, p_value=p)
        for term, ps in (("A", (0.01, 0.04, 0.03)), ("B", (0.2, math.nan, 0.3)))
        for outcome, p in zip(("force", "citizen_injury", "officer_injury"), ps, strict=True)
    ]
    adjusted = [row.p_adjusted for row in adjust(Estimates(tuple(rows)))]
    assert adjusted == pytest.approx([0.03, 0.06, 0.06, 0.4, math.nan, 0.4], nan_ok=True)


def test_two_analyses_of_one_outcome_are_no_family():
    rows = [replace(ROW, method=method, p_value=0.02) for method in ("score", "CR2")]
    with pytest.raises(EstimationError, match="force stands more than once for ICAT"):
        adjust(Estimates(tuple(rows)))


def test_bootstraps_of_other_clusters_say_why_their_draws_differ():
    """The second outcome has no event in one squad, whose sign is then not drawn."""
    unit, month = np.indices((20, 6))
    frame = pd.DataFrame(
        {"unit": [f"{u:02d}" for u in unit.ravel()], "month": month.ravel() + 1,
         "squad": [f"s{u % 10}" for u in unit.ravel()], "start": np.array([3, 5, 0])[unit % 10 % 3].ravel()}
    )  # fmt: skip
    frame["force"] = np.random.default_rng(3).poisson(2, len(frame))
    frame["injury"] = np.where(frame["squad"] == "s4", 0, np.random.default_rng(4).poisson(2, len(frame)))
    panel = Panel.from_frame(
        frame, unit="unit", period="month", outcomes=["force", "injury"], starts="start", randomized="squad"
    )
    rows = tuple(wild_bootstrap(panel, name, draws=99, seed=1) for name in ("force", "injury"))
    with pytest.raises(
        EstimationError, match=r"in 9, 10 clusters: use a randomization test, or method=.holm"
    ):
        adjust(Estimates(rows), method="westfall-young")


OUTCOMES = ("force", "injury", "complaint")


def panel_of(seed, shared):
    """Forty units, half treated; the outcomes share a part of their counts and there is no effect."""
    rng = np.random.default_rng(seed)
    common = rng.poisson(9 * shared, 40)
    frame = pd.DataFrame({"unit": [f"{i:02d}" for i in range(40)], "start": np.arange(40) % 2})
    for outcome in OUTCOMES:
        frame[outcome] = common + rng.poisson(9 * (1 - shared), 40)
    return Panel.from_frame(frame, unit="unit", period=None, outcomes=list(OUTCOMES), treated="start")


def three_outcomes(seed=0, shared=0.5, n=199):
    starts = np.random.default_rng(seed + 1).permuted(np.tile(np.arange(40) % 2, (n, 1)), axis=1)
    panel = panel_of(seed, shared)
    return Estimates(tuple(randomization_test(panel, name, allocation=starts) for name in OUTCOMES))


def step_by_step(rows):
    """Westfall & Young 1993, algorithm 2.8, in loops: the observed assignment is one of the draws."""
    size = np.array([np.r_[abs(row.notes["statistic"]), np.abs(row.null_draws)] for row in rows])
    p = np.array([[np.mean(own >= value - 1e-9) for value in own] for own in size])
    order = np.argsort(p[:, 0], kind="stable")
    counts = np.zeros(len(rows))
    for draw in range(p.shape[1]):
        smallest = 1.0
        for place in range(len(rows) - 1, -1, -1):
            smallest = min(smallest, p[order[place], draw])
            counts[place] += smallest <= p[order[place], 0] + 1e-12
    adjusted = counts / p.shape[1]
    for place in range(1, len(rows)):
        adjusted[place] = max(adjusted[place], adjusted[place - 1])
    return dict(zip(order.tolist(), adjusted.tolist(), strict=True))


@pytest.mark.parametrize("seed", range(4))
def test_westfall_young_follows_the_algorithm(seed):
    rows = three_outcomes(seed)
    adjusted = [row.p_adjusted for row in adjust(rows, method="westfall-young")]
    expected = step_by_step(list(rows))
    assert adjusted == pytest.approx([expected[i] for i in range(3)])
    assert all(p >= row.p_value for p, row in zip(adjusted, rows, strict=True))


def test_outcomes_that_are_one_outcome_need_no_adjustment_and_independent_ones_nearly_holm_s():
    same = three_outcomes(shared=1.0)
    assert [r.p_adjusted for r in adjust(same, method="westfall-young")] == [r.p_value for r in same]
    apart = three_outcomes(3, shared=0.0, n=1999)
    smallest = min(range(3), key=lambda i: apart.rows[i].p_value)
    ours = adjust(apart, method="westfall-young").rows[smallest].p_adjusted
    p = apart.rows[smallest].p_value
    assert ours == pytest.approx(1 - (1 - p) ** 3, abs=0.05)
    assert ours <= adjust(apart).rows[smallest].p_adjusted + 1e-12


def exchangeable(rng, n=99):
    """Rows whose statistics are drawn, observed one included, from one law: outcomes that move together."""
    values = rng.normal(size=(n + 1, 1)) + 0.7 * rng.normal(size=(n + 1, 3))
    p_values = [np.mean(np.abs(own) >= abs(own[0])) for own in values.T]
    return Estimates(
        tuple(
            replace(
                ROW, outcome=name, p_value=p, null_draws=own[1:], draws_hash="same",
                notes={"statistic": own[0], "exact": False},
            )
            for name, own, p in zip(OUTCOMES, values.T, p_values, strict=True)
        )
    )  # fmt: skip


def test_the_chance_of_any_false_finding_is_the_level_which_holm_stays_below():
    rng = np.random.default_rng(5)
    trials = [exchangeable(rng) for _ in range(600)]
    error = 4 * np.sqrt(0.05 * 0.95 / 600)
    found = {
        method: np.mean([min(r.p_adjusted for r in adjust(rows, method=method)) <= 0.05 for rows in trials])
        for method in ("westfall-young", "holm")
    }
    assert found["westfall-young"] == pytest.approx(0.05, abs=error)
    assert found["holm"] < found["westfall-young"]


def test_permutations_of_randomized_timing_are_shared_by_outcomes():
    unit, period = np.divmod(np.arange(80), 2)
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"unit": unit, "period": period + 1, "start": np.where(unit % 2, 2, 0)})
    frame["force"], frame["injury"] = rng.poisson(5, (2, 80))
    panel = Panel.from_frame(
        frame, unit="unit", period="period", outcomes=["force", "injury"], starts="start"
    )
    rows = [staggered(panel, name, permutations=199, seed=3) for name in panel.outcomes]
    adjusted = adjust(Estimates(tuple(rows)), method="westfall-young")
    assert all(row.p_value <= row.p_adjusted <= 1 for row in adjusted)
    other = staggered(panel, "injury", permutations=199, seed=4)
    with pytest.raises(EstimationError, match="differ"):
        adjust(Estimates((rows[0], other)), method="westfall-young")


def test_rows_without_draws_or_with_other_draws_are_refused():
    first = three_outcomes().rows[0]
    robust = replace(first, outcome="injury", null_draws=None)
    with pytest.raises(EstimationError, match="injury did not keep"):
        adjust(Estimates((first, robust)), method="westfall-young")
    second = three_outcomes(1).rows[1]
    with pytest.raises(EstimationError, match="the same draws"):
        adjust(Estimates((first, second)), method="westfall-young")
