"""Fit three million officer-months with exposure and two covariates; print seconds and peak memory."""

import platform
import resource
import time

import numpy as np
import pandas as pd

from rct.frequentist import poisson
from rct.panel import Panel

OFFICERS, MONTHS = 50_000, 60


def main() -> None:
    rng = np.random.default_rng(1)
    officer = np.repeat(np.arange(OFFICERS), MONTHS)
    month = np.tile(np.arange(1, MONTHS + 1), OFFICERS)
    cohort = rng.integers(13, 61, OFFICERS)[officer]
    hours = rng.uniform(80, 180, len(officer))
    arrests, overtime = rng.poisson(4, len(officer)), rng.normal(10, 3, len(officer))
    rate = 0.0004 * rng.gamma(0.6, 1 / 0.6, OFFICERS)[officer] * np.exp(0.1 * np.log1p(arrests))
    treated = month >= cohort
    frame = pd.DataFrame({
        "officer": officer, "month": month, "cohort": cohort, "hours": hours,
        "log_arrests": np.log1p(arrests), "overtime": overtime,
        "force": rng.poisson(rate * hours * np.where(treated, 0.75, 1.0)),
    })  # fmt: skip
    begun = time.perf_counter()
    panel = Panel.from_frame(
        frame, unit="officer", period="month", outcomes=["force"], starts="cohort", exposure="hours",
        covariates=["log_arrests", "overtime"],
    )  # fmt: skip
    made = time.perf_counter()
    row = poisson(panel, "force", cluster="unit", covariates=["log_arrests", "overtime"])
    took = time.perf_counter() - made
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"{len(frame):,} rows, exposure, two covariates; Python {platform.python_version()}")
    print(f"  panel made in {made - begun:.1f} s; fitted in {took:.1f} s (limit 30 s)")
    print(f"  peak memory, the frame itself included, {memory:.2f} GB (limit 4 GB)")
    print(f"  log rate ratio {row.estimate:.4f}, truth {np.log(0.75):.4f}")


if __name__ == "__main__":
    main()
