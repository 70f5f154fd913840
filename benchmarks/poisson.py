"""Time the collapsed Poisson fit beside `pyfixest.fepois` on 7,785 officers × 72 months.

Uses the Chicago panel where it is present (RCT_DATA, or ../shared/data beside the checkout), else a simulated
one of its shape, and says which. pyfixest has its frame ready and is warm; rct has its panel ready: as it was
made from a frame or a file and nobody has analysed it yet; as a copy of it, or one whose frame was edited,
whose spells of treatment are still to be found; and as it is for all analyses after the first, which find its
rows laid out.
"""

import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from rct.frequentist import poisson
from rct.frequentist.clustered_fit import fit_clustered
from rct.frequentist.collapsed_cells import UnitRows
from rct.frequentist.estimation_sample import likelihood_rows
from rct.panel import Panel

OFFICERS, MONTHS, REPEATS = 7785, 72, 5


def officer_months() -> tuple[pd.DataFrame, str]:
    folder = Path(os.environ.get("RCT_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    path = folder / "chicago_pj.parquet"
    if path.exists():
        return pd.read_parquet(path, columns=["uid", "period", "first_trained", "force"]), "Chicago panel"
    rng = np.random.default_rng(1)
    officer = np.repeat(np.arange(OFFICERS), MONTHS)
    month = np.tile(np.arange(1, MONTHS + 1), OFFICERS)
    cohort = rng.integers(13, 61, OFFICERS)[officer]
    force = rng.poisson(0.045 * rng.gamma(0.6, 1 / 0.6, OFFICERS)[officer])
    frame = {"uid": officer, "period": month, "first_trained": cohort, "force": force}
    return pd.DataFrame(frame), "simulated panel"


def panel_of(frame: pd.DataFrame) -> Panel:
    return Panel.from_frame(frame, unit="uid", period="period", outcomes=["force"], starts="first_trained")


def median_seconds(action: Callable[[], object]) -> float:
    action()
    times = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        action()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def rows_with_a_likelihood(frame: pd.DataFrame) -> UnitRows:
    treated = (frame["period"] >= frame["first_trained"]).to_numpy()
    rows = UnitRows(
        counts=frame["force"].to_numpy(dtype=float),
        exposure=np.ones(len(frame)),
        unit=pd.factorize(frame["uid"])[0],
        effects=(pd.factorize(frame["period"])[0],),
        term=np.where(treated, 0, -1),
        dose=treated.astype(float),
        n_terms=1,
        covariates=np.empty((len(frame), 0)),
        unit_effects=True,
    )
    return likelihood_rows(rows).rows


def main() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pyfixest
    frame, name = officer_months()
    frame = frame.sort_values(["uid", "period"], ignore_index=True)
    frame["treated"] = (frame["period"] >= frame["first_trained"]).astype(int)
    panel = panel_of(frame)
    rows = rows_with_a_likelihood(frame)

    def fepois() -> "pyfixest.Fepois":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pyfixest.fepois("force ~ treated | uid + period", frame, vcov={"CRV1": "uid"})

    theirs, ours = fepois(), poisson(panel, "force", cluster="unit", correction="CR1N")
    slow = median_seconds(fepois)
    whole = median_seconds(lambda: poisson(panel, "force", cluster="unit", correction="CR1N"))
    made = iter([panel_of(frame) for _ in range(REPEATS + 1)])
    fresh = median_seconds(lambda: poisson(next(made), "force", cluster="unit", correction="CR1N"))
    copies = iter([replace(panel) for _ in range(REPEATS + 1)])
    copied = median_seconds(lambda: poisson(next(copies), "force", cluster="unit", correction="CR1N"))
    making = median_seconds(lambda: panel_of(frame))
    fit = median_seconds(lambda: fit_clustered(rows, rows.unit, "CR1N"))
    print(f"{name}: {OFFICERS} officers × {MONTHS} months; Python {platform.python_version()},")
    print(f"pyfixest {pyfixest.__version__}, {os.cpu_count()} cores, warm, median of {REPEATS}")
    print(f"  pyfixest.fepois, clustered on officers   {slow:8.4f} s")
    print(f"  rct, first analysis of a panel           {fresh:8.4f} s   {slow / fresh:6.1f} × faster")
    print(f"  rct, the same, its spells not yet found  {copied:8.4f} s   {slow / copied:6.1f} × faster")
    print(f"  rct, further ones, their layout kept     {whole:8.4f} s   {slow / whole:6.1f} × faster")
    print(f"  rct, rows to estimate                    {fit:8.4f} s   {slow / fit:6.1f} × faster")
    print(f"  (making a panel of the frame takes       {making:8.4f} s)")
    print(f"  coefficients {ours.estimate:.10f} and {float(theirs.coef()['treated']):.10f}")
    print(f"  standard errors {ours.std_error:.10f} and {float(theirs.se()['treated']):.10f}")


if __name__ == "__main__":
    main()
