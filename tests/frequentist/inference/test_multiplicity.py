"""Holm's adjustment, against statsmodels."""

import math
from dataclasses import replace

import pytest
from statsmodels.stats.multitest import multipletests

from rct import Estimate, Estimates
from rct.frequentist.inference.multiplicity import adjust, holm

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
