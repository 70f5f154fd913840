"""Why the mean over exposure times overstates a log rate ratio in a small wedge: few events.

    python validation/exposure_time_bias.py [--simulations N]

The wedge and the effects of `changing_effects`, with as many events and with ten times as many. Beside the
bias in simulations: the bias on expected counts, where only a wrong estimand or a wrong design could make
one, and the bias of order 1/events that maximum likelihood has in any log-linear Poisson model (McCullagh
& Nelder 1989, eq. 15.4: (X'WX)⁻¹ X'W ξ, ξ = −½ diag X(X'WX)⁻¹X'). Writes exposure_time_bias.csv and
exposure_time_bias.md beside itself.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from changing_effects import COURSES, RATIO, WEDGE, WINDOW
from simulated_wedges import PERIODS, simulated

from rct.frequentist.replicate_fits import exposure_time_design, fit_batch

HERE = Path(__file__).parent
OFFICERS = 600
TRUTH = np.log(RATIO)


def expected(course, starts, rate):
    """Counts (replicates, clusters, periods) without any noise; the trend is that of the wedge."""
    exposure_time = np.arange(1, PERIODS + 1) - starts[..., None] + 1
    effect = np.where(exposure_time > 0, course(np.maximum(exposure_time, 1)), 0.0)
    return OFFICERS / WEDGE.clusters * rate * np.exp(effect + WEDGE.trend * np.arange(PERIODS))


def second_order_bias(mean, design, window):
    """Bias of order 1/events of the contrast `window` of a trial with means (clusters, periods)."""
    clusters, periods = mean.shape
    cells = clusters * periods
    columns = np.concatenate(
        [
            np.repeat(np.eye(clusters), periods, axis=0),
            np.tile(np.eye(periods), (clusters, 1))[:, 1:],
            design.reshape(cells, -1),
        ],
        axis=1,
    )
    weight = mean.reshape(cells)
    inverse = np.linalg.inv(columns.T @ (columns * weight[:, None]))
    xi = -np.einsum("ij,jk,ik->i", columns, inverse, columns) / 2
    bias = inverse @ (columns.T @ (weight * xi))
    return bias[-len(window) :] @ window


def cell(effect, times, simulations):
    """One row: the three biases of the mean over exposure times, in percent of the true log ratio."""
    wedge, course = replace(WEDGE, rate=WEDGE.rate * times), COURSES[effect]
    estimates = []
    for number, trials in enumerate(simulated(wedge, course, simulations=simulations, draws=1, seed=23)):
        starts = trials.starts[trials.followed]
        design = exposure_time_design(starts, trials.given)
        window = np.where(np.arange(design.shape[-1]) < WINDOW, 1 / WINDOW, 0.0)
        fit = fit_batch(trials.counts, design, window)
        estimates.append(fit.estimate)
        if number == 0:
            mean = expected(course, starts[:1], wedge.rate)
            exact = fit_batch(mean, design[:1], window).estimate[0]
            approximate = second_order_bias(mean[0], design[0], window)
    estimate = np.concatenate(estimates)
    estimate = estimate[~np.isnan(estimate)]
    percent = 100 / abs(TRUTH)
    return {
        "effect": effect, "times": times,
        "bias_percent": percent * (estimate.mean() - TRUTH),
        "error_percent": percent * estimate.std(ddof=1) / np.sqrt(len(estimate)),
        "expected_counts_percent": percent * (exact - TRUTH),
        "second_order_percent": percent * approximate,
        "estimated": len(estimate), "simulations": simulations,
    }  # fmt: skip


def as_markdown(table, simulations):
    lines = [
        "# Bias of the mean over exposure times, by number of events",
        "",
        f"Made by `python validation/exposure_time_bias.py --simulations {simulations}`. The wedge and the"
        " effects of changing_effects.md; the estimate is `poisson`'s mean over exposure times"
        f" 1–{WINDOW}, and the truth the mean of the same log rate ratios. In percent of the true log ratio;"
        " negative: too"
        " large a reduction.",
        "",
        "| effect | events | bias, simulated % | (error) | on expected counts % | of order 1/events % |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.effect} | ×{row.times} | {row.bias_percent:+.1f} | ({row.error_percent:.1f})"
        f" | {row.expected_counts_percent:+.1f} | {row.second_order_percent:+.1f} |"
        for row in table.itertuples()
    ]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=300)
    simulations = parser.parse_args().simulations
    table = pd.DataFrame([cell(effect, times, simulations) for effect in COURSES for times in (1, 10)])
    table.to_csv(HERE / "exposure_time_bias.csv", index=False, float_format="%.4f")
    (HERE / "exposure_time_bias.md").write_text(as_markdown(table, simulations), encoding="utf-8")


if __name__ == "__main__":
    main()
