"""Effective draws per second: the marginal model beside a naive officer-level model of the same posterior.

Both are sampled by nutpie, 4 chains × 1,000 draws, on a simulated panel that the naive model can do. With and
without the time to compile.
"""

import os
import time

import numpy as np
import pandas as pd

import rct
from rct.bayesian.compilerless import import_pymc

OFFICERS, MONTHS = 240, 12
PRIORS = {"cluster_sd": False, "cluster_period_sd": False}


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    officer = np.repeat(np.arange(OFFICERS), MONTHS)
    month = np.tile(np.arange(1, MONTHS + 1), OFFICERS)
    start = (3 + np.arange(OFFICERS) % 8)[officer]
    rate = 0.15 * rng.gamma(0.6, 1 / 0.6, OFFICERS)[officer] * np.where(month >= start, 0.8, 1.0)
    return pd.DataFrame({"officer": officer, "month": month, "start": start, "force": rng.poisson(rate)})


def panel_of(rows: pd.DataFrame) -> rct.Panel:
    return rct.Panel.from_frame(rows, unit="officer", period="month", outcomes=["force"], starts="start")


def naive_model(rows: pd.DataFrame):
    pm = import_pymc()
    with pm.Model() as model:
        effect = pm.Normal("effect", 0, 0.5)
        intercept = pm.Normal("intercept", -3, 3)
        period = pm.ZeroSumNormal("period", sigma=2, shape=MONTHS)
        phi = pm.Gamma("heterogeneity", alpha=2, beta=2)
        u = pm.Gamma("u", alpha=phi, beta=phi, shape=OFFICERS)
        treated = (rows["month"] >= rows["start"]).to_numpy(float)
        log_rate = intercept + period[rows["month"].to_numpy() - 1] + effect * treated
        pm.Poisson(
            "y", u[rows["officer"].to_numpy()] * pm.math.exp(log_rate), observed=rows["force"].to_numpy()
        )
    return model


def naive(rows: pd.DataFrame) -> tuple[float, float, float]:
    import arviz as az
    import nutpie

    begun = time.perf_counter()
    compiled = nutpie.compile_pymc_model(naive_model(rows), var_names=["effect", "heterogeneity"])
    ready = time.perf_counter()
    drawn = nutpie.sample(
        compiled, draws=1000, tune=1000, chains=4, seed=1, progress_bar=False, target_accept=0.9
    )
    done = time.perf_counter()
    sizes = az.ess(drawn["posterior"])
    return min(float(sizes[name]) for name in ("effect", "heterogeneity")), done - begun, done - ready


def marginal(rows: pd.DataFrame) -> tuple[float, float, float]:
    panel = panel_of(rows)
    times = []
    for seed in (1, 2):
        begun = time.perf_counter()
        fit = rct.bayesian.fit(panel, "force", priors=PRIORS, seed=seed)
        times.append(time.perf_counter() - begun)
    return min(fit.diagnostics["ess_bulk"][name] for name in ("effect", "heterogeneity")), *times


def main() -> None:
    rows = frame()
    size, whole, again = marginal(rows)
    size_naive, whole_naive, drawing_naive = naive(rows)
    print(f"{OFFICERS} officers × {MONTHS} months, load {os.getloadavg()[0]:.1f}")
    print(f"marginal: {size:.0f} effective draws, {whole:.1f} s the first time, {again:.1f} s afterwards")
    print(
        f"officer-level: {size_naive:.0f} effective draws, {whole_naive:.1f} s, "
        f"{drawing_naive:.1f} s of them drawing"
    )
    print(
        f"effective draws per second, compiling included: {size / whole / (size_naive / whole_naive):.0f} x"
    )
    print(f"effective draws per second, compiled before: {size / again / (size_naive / drawing_naive):.0f} x")


if __name__ == "__main__":
    main()
