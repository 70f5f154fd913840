"""Power over several outcomes, against hand-made families and statsmodels' Holm."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

import rct
from rct.power.families import family_power, holm
from rct.power.panel_replicates import replicate_panel
from rct.power.study import declared_study, run_block


def rows(p_values, null):
    return pd.DataFrame(
        [
            {"replicate": r, "analysis": "primary", "arm": "A", "outcome": o, "p_value": p, "null_p_value": q}
            for r, (ps, qs) in enumerate(zip(p_values, null, strict=True))
            for o, p, q in zip(("x", "y", "z"), ps, qs, strict=True)
        ]
    )


def test_holm_is_statsmodels_holm():
    p_values = np.random.default_rng(1).uniform(size=(10, 4)) ** 3
    expected = [multipletests(p, method="holm")[1] for p in p_values]
    assert holm(p_values) == pytest.approx(np.array(expected))


def test_any_all_and_each_are_counted_after_adjustment():
    p = [[0.01, 0.02, 0.04], [0.01, 0.03, 0.9], [0.02, 0.5, 0.5], [np.nan, 0.01, 0.01]]
    null = [[0.01, 0.9, 0.9], [0.5, 0.5, 0.5], [0.5, 0.5, 0.5], [0.03, 0.5, 0.5]]
    frame = family_power(rows(p, null), "primary", 0.05, adjusted=True).set_index("detected")
    assert frame["power"].to_dict() == {"any": 0.75, "all": 0.25, "x": 0.5, "y": 0.5, "z": 0.5}
    assert frame.loc["any", "false_positive"] == 0.25
    raw = family_power(rows(p, null), "primary", 0.05, adjusted=False).set_index("detected")
    assert raw.loc["any", "power"] == 1.0
    assert raw.loc["any", "false_positive"] == 0.5


def test_westfall_and_young_adjust_each_replicate_as_its_analysis_would():
    text = rct.load("louisville_icat").to_toml()
    before, after = text[: text.index("[analysis]")], text[text.index("[power]") :]
    promise = '[analysis]\nprimary = { estimator = "poisson", effect = "constant" }\nseed = 1\n'
    trial = rct.Trial.parse(before + promise + 'multiplicity = "westfall-young"\n\n' + after)
    changed = dict.fromkeys(("force", "citizen_injury", "officer_injury"), 0.5)
    study = declared_study(trial, None, effects=changed, draws=99, seed=2)
    vars(study.truth.departures)["reporting"] = {"force": 0.999999}  # so that both draw officer by officer
    vars(study)["redraws"] = study.allocation.draws(99, seed=7)
    rows = run_block(study, 0, 4)
    assert rows["null_p_adjusted"].notna().all()
    test = rct.frequentist.randomization_test
    for replicate in range(4):
        panel, allocation = replicate_panel(study, replicate)
        tests = [test(panel, name, allocation=allocation, draws=99, seed=7) for name in changed]
        expected = rct.frequentist.adjust(rct.Estimates(tuple(tests)), method="westfall-young").rows
        own = rows[rows["replicate"] == replicate].set_index("outcome")
        for row in expected:
            assert own["p_value"][row.outcome] == pytest.approx(row.p_value)
            assert own["p_adjusted"][row.outcome] == pytest.approx(row.p_adjusted)


def test_a_panels_replicate_is_adjusted_as_its_analysis_would():
    text = rct.load("louisville_icat").to_toml()
    before, after = text[: text.index("[analysis]")], text[text.index("[power]") :]
    promise = (
        '[analysis]\nprimary = { estimator = "poisson", fixed_effects = ["unit", "period"] }\nseed = 1\n'
    )
    trial = rct.Trial.parse(before + promise + 'multiplicity = "westfall-young"\n\n' + after)
    changed = dict.fromkeys(("force", "citizen_injury", "officer_injury"), 0.5)
    study = declared_study(trial, None, effects=changed, draws=99, seed=2)
    own = run_block(study, 0, 1).set_index("outcome")
    panel, allocation = replicate_panel(study, 0)
    effects = ("unit", "period")
    tests = [
        rct.frequentist.randomization_test(
            panel, name, fixed_effects=effects, allocation=allocation, draws=99, seed=study.seed
        )
        for name in changed
    ]
    for row in rct.frequentist.adjust(rct.Estimates(tuple(tests)), method="westfall-young").rows:
        assert own["p_value"][row.outcome] == pytest.approx(row.p_value)
        assert own["p_adjusted"][row.outcome] == pytest.approx(row.p_adjusted)
    assert (own["p_adjusted"] > own["p_value"]).any()


def test_adjusted_p_values_of_the_replicates_take_the_place_of_holm():
    p = [[0.04, 0.5, 0.5], [0.03, 0.04, 0.9]]
    frame = rows(p, p).assign(p_adjusted=[0.04, 0.5, 0.5, 0.06, 0.06, 0.9], null_p_adjusted=1.0)
    found = family_power(frame, "primary", 0.05, adjusted=True).set_index("detected")
    assert found["power"].to_dict() == {"any": 0.5, "all": 0.0, "x": 0.5, "y": 0.0, "z": 0.0}
    assert found.loc["any", "false_positive"] == 0
