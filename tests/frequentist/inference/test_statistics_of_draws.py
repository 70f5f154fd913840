"""The statistics beside the score: refitted ratio, difference of rates, randomized timing."""

import itertools

import numpy as np
import pandas as pd
import pytest

from rct.errors import EstimationError
from rct.frequentist import poisson, randomization_test, staggered
from rct.frequentist.inference.masked_score import studentized_scores
from rct.frequentist.inference.null_model import null_model
from rct.frequentist.inference.ratio_from_margins import Margins, ratios_from_margins
from rct.frequentist.inference.redrawn_assignments import redraw_array
from rct.panel import Panel


def frame_of(starts, periods=6, seed=0, ratio=1.0):
    unit, period = np.indices((len(starts), periods))
    dose = (starts[unit] > 0) & (period + 1 >= starts[unit])
    rng = np.random.default_rng(seed)
    mean = np.array([9.0, 20, 5, 14, 11])[unit % 5] * (1 + 0.1 * period) * ratio**dose
    return pd.DataFrame(
        {"unit": [f"u{i:02d}" for i in unit.ravel()], "period": period.ravel() + 1,
         "force": rng.poisson(mean).ravel(), "start": starts[unit].ravel(),
         "district": [f"d{i % 2}" for i in unit.ravel()], "hours": 1.0 + (unit * 7 + period).ravel() % 3}
    )  # fmt: skip


def panel_of(frame, **options):
    return Panel.from_frame(
        frame, unit="unit", period="period", outcomes=["force"], starts="start", **options
    )


STARTS = np.array([2, 3, 4, 0] * 5)


def permuted(starts, n, seed=1, block=None):
    generator = np.random.default_rng(seed)
    draws = np.tile(starts, (n, 1))
    for code in np.unique(block) if block is not None else [0]:
        members = np.flatnonzero(block == code) if block is not None else np.arange(len(starts))
        draws[:, members] = generator.permuted(draws[:, members], axis=1)
    return draws


def test_all_orders_of_the_wedge_give_the_reference_p_values_of_score_ratio_and_wald(wedge, references):
    orders = np.array(list(itertools.permutations(range(4, 21, 2))), dtype=np.int16)
    redrawn = redraw_array(wedge, orders, exact=True)
    model = null_model(wedge.rows("force"), redrawn.units, wedge.periods, None, ())
    own = int(np.flatnonzero((redrawn.draws == redrawn.observed).all(axis=1))[0])
    score, ratio, information = [], [], []
    for drawn in np.array_split(redrawn.draws, 400):
        score.append(studentized_scores(model, model.expected(0.0), redrawn.dose[drawn]))
        tables = model.counts_table[np.argsort(drawn, axis=1)]
        dosed = (tables * redrawn.dose[1:]).sum(axis=(1, 2))
        margins = Margins(tables.sum(axis=2).T[None], tables.sum(axis=1).T[None], dosed)
        fits = ratios_from_margins(margins, redrawn.dose[1:])
        ratio.append(fits[0])
        information.append(fits[1])
    ratio, information = np.concatenate(ratio), np.concatenate(information)
    statistics = [np.concatenate(score), ratio, ratio * np.sqrt(information)]
    for number, statistic in enumerate(statistics, start=1):
        p = np.mean(np.abs(statistic) >= abs(statistic[own]) - 1e-9)
        reference = references[f"sw9x24/exact_RI/{number}"]
        assert p == pytest.approx(reference["value"], abs=reference["tolerance"]["abs"])
    assert ratio[own] == pytest.approx(poisson(wedge, "force").estimate, abs=1e-8)


def test_the_refitted_ratio_of_the_full_panel_has_the_reference_p_value(chicago, references):
    starts = chicago.frame.drop_duplicates("unit")["starts"].to_numpy()
    ours = randomization_test(chicago, "complaints", statistic="poisson", allocation=permuted(starts, 100))
    reference = references["ri_poisson_fe/full/complaints"]
    p = reference["value"]
    error = 4 * np.sqrt(p * (1 - p) / 100) + 1 / 101
    assert ours.p_value == pytest.approx(p, abs=reference["tolerance"]["abs"] + error)
    assert ours.null_draws.std() == pytest.approx(reference["sd_perm"], rel=4 / np.sqrt(200))
    assert ours.estimate == pytest.approx(poisson(chicago, "complaints").estimate, abs=1e-8)


@pytest.mark.parametrize("options", [{}, {"exposure": "hours"}, {"block": "district"}])
def test_every_draw_is_fitted_as_poisson_would(options):
    panel = panel_of(frame_of(STARTS, ratio=0.6), **options)
    draws = permuted(STARTS, 4, block=np.arange(20) % 2)
    effects = ("unit", "block:period" if "block" in options else "period")
    ours = randomization_test(panel, "force", statistic="poisson", allocation=draws)
    for own, starts in zip([ours.estimate, *ours.null_draws], [STARTS, *draws], strict=True):
        frame = frame_of(STARTS, ratio=0.6).assign(start=np.repeat(starts, 6))
        fitted = poisson(panel_of(frame, **options), "force", fixed_effects=effects)
        assert own == pytest.approx(fitted.estimate, abs=1e-7)
    assert np.isnan(ours.conf_low)


def test_the_difference_of_rates_is_that_of_two_samples_and_reweights_blocks():
    start = np.array([2, 0] * 10)
    frame = frame_of(start, periods=2)
    panel = panel_of(frame)
    ours = randomization_test(panel, "force", statistic="difference", allocation=permuted(start, 199))
    after = frame[frame["period"] == 2]
    treated = after["start"] > 0
    expected = after.loc[treated, "force"].mean() - after.loc[~treated, "force"].mean()
    assert ours.estimate == pytest.approx(expected)
    groups = [after.loc[side, "force"] for side in (treated, ~treated)]
    assert ours.std_error == pytest.approx(np.sqrt(sum(g.var(ddof=0) / len(g) for g in groups)))
    assert ours.notes["statistic"] == pytest.approx(ours.estimate / ours.std_error)
    assert (ours.scale, ours.percent_change != ours.percent_change) == ("difference", True)
    blocked = panel_of(frame, block="district")
    with pytest.raises(EstimationError, match="not a finite number|same in every draw"):
        randomization_test(
            blocked, "force", statistic="difference",
            allocation=permuted(start, 9, block=np.arange(20) % 2),
        )  # fmt: skip


def test_the_timing_statistic_is_the_studentized_efficient_estimate_of_each_draw():
    panel = panel_of(frame_of(STARTS, ratio=0.7))
    draws = permuted(STARTS, 49)
    ours = randomization_test(panel, "force", statistic="staggered", allocation=draws)
    own = staggered(panel, "force")
    assert (ours.estimate, ours.std_error) == (own.estimate, own.std_error_neyman)
    redrawn = panel_of(frame_of(STARTS, ratio=0.7).assign(start=np.repeat(draws[7], 6)))
    drawn = staggered(redrawn, "force")
    assert ours.null_draws[7] == pytest.approx(drawn.estimate / drawn.std_error_neyman, rel=1e-9)
    reached = np.count_nonzero(np.abs(ours.null_draws) >= abs(own.estimate / own.std_error_neyman))
    assert ours.p_value == (1 + reached) / 50


def test_a_ratio_without_a_finite_estimate_in_some_draw_is_refused():
    start = np.array([2, 0, 0, 0])
    frame = frame_of(start, periods=3).assign(
        force=lambda f: np.where(f["unit"] == "u01", f["period"] == 1, f["force"])
    )
    draws = np.array([[0, 2, 0, 0], [0, 0, 2, 0]])
    with pytest.raises(EstimationError, match="no finite"):
        randomization_test(panel_of(frame), "force", statistic="poisson", allocation=draws)
