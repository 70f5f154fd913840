"""Effective draws per second: the marginal model beside a naive officer-level model of the same posterior.

Both are sampled by nutpie, 4 chains × 1,000 draws, on a simulated panel that the naive model can do: of the
effect, and of the worst of all parameters that both models have. With and without the time to compile.
Run as ``python benchmarks/bayesian.py 240 12`` (officers, months).
"""

import os
import sys
import time
from dataclasses import dataclass

import numpy as np
import pandas as pd

import rct
from rct.bayesian.compilerless import import_pymc

PRIORS = {"cluster_sd": False, "cluster_period_sd": False}
PARAMETERS = ["effect", "heterogeneity", "intercept", "period"]


@dataclass(frozen=True)
class Run:
    """Effective draws (bulk) by parameter, and the seconds of a first run and of one compiled before."""

    sizes: dict[str, float]
    whole: float
    drawing: float

    @property
    def worst(self) -> str:
        """Name the parameter with the fewest effective draws."""
        return min(self.sizes, key=self.sizes.__getitem__)


def frame(officers: int, months: int) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    officer = np.repeat(np.arange(officers), months)
    month = np.tile(np.arange(1, months + 1), officers)
    start = (3 + np.arange(officers) % 8)[officer]
    rate = 0.15 * rng.gamma(0.6, 1 / 0.6, officers)[officer] * np.where(month >= start, 0.8, 1.0)
    return pd.DataFrame({"officer": officer, "month": month, "start": start, "force": rng.poisson(rate)})


def panel_of(rows: pd.DataFrame) -> rct.Panel:
    return rct.Panel.from_frame(rows, unit="officer", period="month", outcomes=["force"], starts="start")


def naive_model(rows: pd.DataFrame):
    pm = import_pymc()
    officers, months = rows["officer"].nunique(), rows["month"].nunique()
    with pm.Model() as model:
        effect = pm.Normal("effect", 0, 0.5)
        intercept = pm.Normal("intercept", -3, 3)
        period = pm.ZeroSumNormal("period", sigma=2, shape=months)
        phi = pm.Gamma("heterogeneity", alpha=2, beta=2)
        u = pm.Gamma("u", alpha=phi, beta=phi, shape=officers)
        treated = (rows["month"] >= rows["start"]).to_numpy(float)
        log_rate = intercept + period[rows["month"].to_numpy() - 1] + effect * treated
        pm.Poisson(
            "y", u[rows["officer"].to_numpy()] * pm.math.exp(log_rate), observed=rows["force"].to_numpy()
        )
    return model


def naive(rows: pd.DataFrame) -> Run:
    import arviz as az
    import nutpie

    begun = time.perf_counter()
    compiled = nutpie.compile_pymc_model(naive_model(rows), var_names=PARAMETERS)
    ready = time.perf_counter()
    drawn = nutpie.sample(
        compiled, draws=1000, tune=1000, chains=4, seed=1, progress_bar=False, target_accept=0.9
    )
    done = time.perf_counter()
    sizes = az.ess(drawn["posterior"], method="bulk")
    return Run({name: float(sizes[name].min()) for name in PARAMETERS}, done - begun, done - ready)


def marginal(rows: pd.DataFrame) -> Run:
    panel = panel_of(rows)
    times = []
    for seed in (1, 2):
        begun = time.perf_counter()
        fit = rct.bayesian.fit(panel, "force", priors=PRIORS, seed=seed)
        times.append(time.perf_counter() - begun)
    return Run({name: fit.diagnostics["ess_bulk"][name] for name in PARAMETERS}, *times)


def main() -> None:
    officers, months = (int(word) for word in sys.argv[1:] or ("240", "12"))
    rows = frame(officers, months)
    ours, other = marginal(rows), naive(rows)
    print(f"{officers} officers × {months} months, load {os.getloadavg()[0]:.1f}")
    for name, run in (("marginal", ours), ("officer-level", other)):
        print(
            f"{name}: {run.sizes['effect']:.0f} effective draws of the effect, {run.sizes[run.worst]:.0f} of "
            f"the worst ({run.worst}); {run.whole:.1f} s with compilation, "
            f"{run.drawing:.1f} s compiled before"
        )
    for what, pair in (("effect", ("effect", "effect")), ("worst parameter", (ours.worst, other.worst))):
        ratio = ours.sizes[pair[0]] / other.sizes[pair[1]]
        print(
            f"effective draws of the {what} per second: {ratio * other.drawing / ours.drawing:.1f} × "
            f"compiled before, {ratio * other.whole / ours.whole:.1f} × with compilation"
        )


if __name__ == "__main__":
    main()
