"""Whether the interval of events averted holds what was averted among the officers of the trial.

    python validation/averted_at_hand.py [--trials N]

Officers, half of them trained, with gamma effects of their own; the truth is what training averts at their
own rates, known from the simulation. The posterior is normal around the mode (Laplace's method), which takes
milliseconds; beside it the same draws with an average officer's rate. Writes averted_at_hand.csv and .md.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

import rct
from rct.bayesian.priors import DEFAULTS
from rct.bayesian.rates_at_hand import with_rates_at_hand
from rct.posterior import Posterior

HERE = Path(__file__).parent
RATE, EFFECT, PHI, DRAWS, SEED = 0.25, -0.3, 0.7, 1000, 12
SETTINGS = ((80, 3, 3), (80, 12, 12), (80, 48, 48), (300, 48, 48))  # officers, months before and after
PRIORS = {
    name: DEFAULTS[name] for name in ("effect", "intercept", "period", "heterogeneity")
} | dict.fromkeys(("block", "cluster_sd", "cluster_period_sd"), False)


def trial(rng, officers, before, after):
    """Give the panel of one trial and the events that training averts per officer-month."""
    months, half = before + after, np.arange(officers) < officers // 2
    exposure, u = rng.choice([0.5, 0.75, 1.0], officers), rng.gamma(PHI, 1 / PHI, officers)
    on = half[:, None] & (np.arange(months) >= before)
    mean = RATE * (u * exposure)[:, None] * np.exp(EFFECT * on)
    frame = pd.DataFrame({
        "officer": np.repeat([f"o{i:03d}" for i in range(officers)], months),
        "month": np.tile(np.arange(1, months + 1), officers), "on": on.ravel().astype(float),
        "exposure": np.repeat(exposure, months), "force": rng.poisson(mean).ravel(),
    })  # fmt: skip
    panel = rct.Panel.from_frame(
        frame, unit="officer", period="month", outcomes=["force"], treated="on", exposure="exposure"
    )
    averted = RATE * (u * exposure)[half].sum() / exposure[half].sum() * -np.expm1(EFFECT)
    return panel, averted


def posterior_of(panel, rng):
    """Give draws of Laplace's normal posterior as those of a fit."""
    fit = rct.bayesian.laplace(panel, "force", priors={"cluster_sd": False, "cluster_period_sd": False})
    drawn = rng.multivariate_normal(fit.mean, fit.covariance, size=(1, DRAWS))
    rows = panel.rows("force")
    facts = {"n_units": rows["unit"].nunique(), "n_clusters": rows["cluster"].nunique()}
    draws = xr.Dataset(
        {
            "intercept": (("chain", "draw"), np.zeros((1, DRAWS))),
            "period": (("chain", "draw", "period_number"), drawn[..., :-2]),
            "effect": (("chain", "draw"), drawn[..., -2]),
            "heterogeneity": (("chain", "draw"), np.exp(drawn[..., -1])),
        },
        coords={"period_number": np.arange(1, drawn.shape[2] - 1)},
    )
    return Posterior(
        outcomes=("force",), arms=fit.arms, reference=fit.reference, model="marginal", priors=PRIORS,
        diagnostics={"seed": int(rng.integers(2**31))}, level=0.95,
        meta={"force": facts | {"n_events": float(rows["count"].sum()), "baseline": RATE}},
        source={"posterior": draws, "sample_stats": xr.Dataset()},
    )  # fmt: skip


def intervals(panel, fit):
    """Give the draws of the events averted: at hand, and at an average officer's rate."""
    draws = with_rates_at_hand(fit, panel)
    rows = panel.rows("force")
    at_risk = rows["exposure"].where(rows["treated"] > 0, 0.0).groupby(rows["period"]).sum().to_numpy()
    average = np.exp(draws["period"].to_numpy()[0]) @ (at_risk / at_risk.sum())
    share = -np.expm1(draws["effect"].to_numpy()[0])
    return {"at hand": share * draws["untreated_rate"].to_numpy()[0], "average": share * average}


def table(trials):
    """A row for each setting and rate: coverage of the truth, mean width at 95 %."""
    found = []
    for setting, (officers, before, after) in enumerate(SETTINGS):
        for number in range(trials):
            rng = np.random.default_rng([SEED, setting, number])
            panel, truth = trial(rng, officers, before, after)
            for rate, drawn in intervals(panel, posterior_of(panel, rng)).items():
                low, least, most, high = np.quantile(drawn, [0.025, 0.1, 0.9, 0.975])
                found.append((officers, before, after, rate, least < truth < most, low < truth < high,
                              1200 * (high - low)))  # fmt: skip
    names = ["officers", "before", "after", "rate", "covers_80", "covers_95", "width"]
    rows = pd.DataFrame(found, columns=names).groupby(names[:4], sort=False, as_index=False).mean()
    return rows.assign(trials=trials)


def words(rows):
    """Give the table as Markdown."""
    trials = rows["trials"].iloc[0]
    spread = [np.sqrt(share * (1 - share) / trials) for share in (0.95, 0.8)]
    lines = [
        "# Events averted among the officers of a trial\n",
        f"Made by `python validation/averted_at_hand.py --trials {trials}`. Half of the officers trained, "
        f"{RATE} incidents a month, rate ratio {np.exp(EFFECT):.2f}, gamma effects of shape {PHI}; {trials} "
        f"trials a cell, Monte-Carlo sd at 95 %: {spread[0]:.3f}, at 80 %: {spread[1]:.3f}. The truth is "
        "what training averted at the officers' own rates; width in events per 100 officers per year.\n",
        "| officers | months before, after | rate | 80 % covers | 95 % covers | width of 95 % |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows.itertuples():
        covers = f"{row.covers_80:.3f} | {row.covers_95:.3f}"
        lines.append(
            f"| {row.officers} | {row.before}, {row.after} | {row.rate} | {covers} | {row.width:.1f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=400)
    rows = table(parser.parse_args().trials)
    rows.to_csv(HERE / "averted_at_hand.csv", index=False, float_format="%.6g")
    (HERE / "averted_at_hand.md").write_text(words(rows))
