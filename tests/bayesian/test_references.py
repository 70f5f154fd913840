"""Posteriors of two simulated panels, against long runs of the same model.

Reference: marginal likelihood, nutpie 0.16, PyMC 5.28.5, 4 chains × 20,000 draws, seed 7, target acceptance
.9; confirmed by the officer-level model (4 × 4,000). Tolerance for 4 × 1,000 draws: means within .1 sd, sds
within 8 %, probabilities within .02.
"""

import os
from pathlib import Path

import pandas as pd
import pytest

import rct

DATA = Path(os.environ.get("RCT_DATA", Path(rct.__file__).parents[2] / "shared" / "data"))

# name → (priors, {term: (mean, sd)}, P(effect < 0))
REFERENCES = {
    "officers120": (
        {"cluster_sd": False, "cluster_period_sd": False},
        {
            "effect": (-0.3221697266486226, 0.2127863471435108),
            "heterogeneity": (0.560001541402144, 0.11519638460551768),
            "intercept": (-1.7863418175022912, 0.17259716030263839),
        },
        0.935825,
    ),
    "officers150e": (
        {"cluster_period_sd": False},
        {
            "effect": (-0.10193685061932259, 0.17250960169208557),
            "heterogeneity": (0.6223587307022674, 0.10928161433684828),
            "intercept": (-1.6643513443610232, 0.18706073959178277),
            "cluster_sd": (0.23669869462802817, 0.14639780402239377),
        },
        0.722725,
    ),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_the_posterior_equals_the_reference(name):
    file = DATA / f"{name}.csv"
    if not file.exists():
        pytest.skip(f"{file.name} is not there (RCT_DATA)")
    left_out, terms, probability = REFERENCES[name]
    panel = rct.Panel.from_frame(
        pd.read_csv(file), unit="officer", period="month", outcomes=["force"], starts="start",
        exposure="exposure", cluster="squad",
    )  # fmt: skip
    priors = {"intercept": {"normal": [-2, 2]}, **left_out}
    posterior = rct.bayesian.fit(panel, "force", priors=priors, seed=20)
    draws = posterior.idata["posterior"]
    for term, (mean, sd) in terms.items():
        assert float(draws[term].mean()) == pytest.approx(mean, abs=0.1 * sd), term
        assert float(draws[term].std()) == pytest.approx(sd, rel=0.08), term
    assert posterior.probability("force") == pytest.approx(probability, abs=0.02)
    assert posterior.diagnostics["divergences"] <= 2
