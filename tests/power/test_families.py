"""Power over several outcomes, against hand-made families and statsmodels' Holm."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

from rct.power.families import family_power, holm


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
