"""Type-I error, coverage and power of each inference method by number of clusters.

    python validation/type_one_error.py [--simulations N]

Wedges of 24 months and 600 officers like Louisville's: .05 incidents per officer and month, gamma officers,
cluster sd .15, cluster-period sd .10; with independent officers, and with incidents that 2.5 officers share.
Writes type_one_error.csv and type_one_error.md beside itself.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import stdtrit

import rct
from rct.frequentist.inference.inverted_test import critical_value
from rct.frequentist.inference.refitted_ratio import two_way_fits
from rct.frequentist.inference.score_randomization import null_expectation, score_p_values
from rct.frequentist.inference.sign_weights import sign_weights
from rct.frequentist.replicate_fits import fit_batch
from rct.simulation import declared_truth, synthetic_roster
from rct.simulation.cluster_totals import draw_totals
from rct.simulation.officer_counts import draw_counts

CLUSTERS = {6: 1, 9: 1, 12: 2, 20: 2, 50: 5}  # number of clusters: how many cross together
OFFICERS = {"independent": 1.0, "shared by 2.5": 2.5}
RATIO = 0.75
DRAWS = 999
CHUNK = 100
DEFAULT = {True: "CR2, Satterthwaite", False: "CR1, t(G-1)"}

TRIAL = """
format = 1
name = "wedge"
[units]
randomize = "division"
measure = "officer"
id = "officer_id"
[arms]
control = "usual"
treatments = ["ICAT"]
[schedule]
kind = "stepped-wedge"
periods = 24
baseline = 12
step = 1
per_step = {per_step}
[[outcomes]]
name = "force"
primary = true
[analysis]
primary = "poisson"
[power]
effects = {{ force = {ratio} }}
rates = {{ force = 0.05 }}
clusters = {clusters}
units = 600
heterogeneity = 0.6
officers_per_incident = {shared}
cluster_sd = 0.15
cluster_period_sd = 0.10
trend = -0.005
"""


def simulated(clusters, shared, ratio, n, seed):
    """Counts (n, clusters, periods), sequences followed (n, clusters), dose table, re-randomizations."""
    text = TRIAL.format(clusters=clusters, per_step=CLUSTERS[clusters], shared=shared, ratio=ratio)
    trial = rct.Trial.parse(text)
    roster = synthetic_roster(trial)
    allocation = rct.randomize(trial, roster, seed="validation")
    truth = declared_truth(trial, None)
    table = allocation.sequences.pivot(index="sequence", columns="period", values="dose").to_numpy()
    member = pd.Index(allocation.frame["unit"]).get_indexer(roster["division"])
    sizes = np.bincount(member)
    followed = allocation.draws(n, seed=seed)
    counts = np.empty((n, clusters, 24))
    effects = truth.log_effects(allocation.sequences)
    for r in range(n):
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(r,)))
        if shared == 1:
            counts[r] = draw_totals(rng, truth, sizes, effects[:, followed[r]])[0]
        else:
            drawn = draw_counts(rng, truth, member, member, effects[:, followed[r][member]])[0]
            counts[r] = pd.DataFrame(drawn).groupby(member).sum().to_numpy()
    return counts, followed, table, allocation.draws(DRAWS, seed=seed + 1)


def sandwiches(counts, dose):
    """Estimate, model-based and CR0 standard errors (replicates,)."""
    n = len(counts)
    estimate = np.empty(n)
    model, robust = np.empty(n), np.empty(n)
    for r in range(n):
        fit, information = two_way_fits(counts[r][None, None], dose[r])
        estimate[r], model[r] = fit[0], information[0] ** -0.5
        mean = null_expectation(counts[r][None], np.exp(fit[0] * dose[r]), unit_effects=True)[0]
        contributions = efficient_contributions(counts[r], mean, dose[r])
        robust[r] = np.sqrt((contributions**2).sum()) / information[0]
    return estimate, model, robust


def efficient_contributions(counts, mean, dose):
    """Contributions (clusters,) to the score of the dose beside cluster and period effects."""
    clusters, periods = counts.shape
    unit, period = np.indices((clusters, periods))
    design = np.hstack([np.eye(clusters)[unit.ravel()], np.eye(periods)[period.ravel()]])
    weight = mean.ravel()
    slopes = np.linalg.lstsq(design.T * weight @ design, design.T @ (weight * dose.ravel()), rcond=None)[0]
    return ((dose.ravel() - design @ slopes).reshape(dose.shape) * (counts - mean)).sum(axis=1)


def bootstrapped(counts, dose, log_ratio):
    """Whether the wild score bootstrap rejects this log ratio (replicates,)."""
    signs = sign_weights(counts.shape[1], "auto", DRAWS, seed=1)
    rejects = np.empty(len(counts), dtype=bool)
    for r, (y, d) in enumerate(zip(counts, dose, strict=True)):
        mean = null_expectation(y[None], np.exp(log_ratio * d), unit_effects=True)[0]
        contributions = efficient_contributions(y, mean, d)
        limit = critical_value(signs.totals(contributions), 0.95, exact=signs.exact)
        rejects[r] = abs(contributions.sum()) > limit * (1 + 1e-9)
    return rejects


def rerandomized(counts, followed, table, draws, log_ratio):
    """Whether the randomization test rejects this log ratio (replicates,)."""
    parts = []
    for first in range(0, len(counts), CHUNK):
        own = slice(first, first + CHUNK)
        exposure = np.exp(log_ratio * table[followed[own]])
        parts.append(score_p_values(counts[own], table, followed[own], draws, exposure=exposure) <= 0.05)
    return np.concatenate(parts)


def bell_mccaffrey(counts, dose):
    """Estimate, standard error and degrees of freedom (replicates,)."""
    fits = [
        fit_batch(counts[i : i + CHUNK], dose[i : i + CHUNK, ..., None], np.ones(1))
        for i in range(0, len(counts), CHUNK)
    ]
    return tuple(np.concatenate([getattr(f, x) for f in fits]) for x in ("estimate", "std_error", "df"))


def rejections(counts, followed, table, draws, log_ratio):
    """For each method whether it rejects this log ratio, replicate by replicate."""
    dose, clusters = table[followed], counts.shape[1]
    estimate, model, robust = sandwiches(counts, dose)
    off = np.abs(estimate - log_ratio)
    t, factor = stdtrit(clusters - 1, 0.975), np.sqrt(clusters / (clusters - 1))
    cr2, cr2_error, df = bell_mccaffrey(counts, dose)
    return {
        "model-based, normal": off > 1.959964 * model,
        "plain sandwich (CR0), normal": off > 1.959964 * robust,
        "CR1, t(G-1)": off > t * factor * robust,
        "CR2, Satterthwaite": np.abs(cr2 - log_ratio) > stdtrit(df, 0.975) * cr2_error,
        "wild score bootstrap": bootstrapped(counts, dose, log_ratio),
        "randomization test": rerandomized(counts, followed, table, draws, log_ratio),
    }


def cell(clusters, officers, simulations):
    """Rows of one number of clusters and one kind of incidents, a row a method."""
    shared = OFFICERS[officers]
    seed = 1000 * clusters + list(OFFICERS).index(officers)
    null = simulated(clusters, shared, 1.0, simulations, seed)
    effect = simulated(clusters, shared, RATIO, simulations, seed + 500)
    size, power = rejections(*null, 0.0), rejections(*effect, 0.0)
    missed = rejections(*effect, np.log(RATIO))
    return pd.DataFrame(
        {
            "clusters": clusters,
            "officers": officers,
            "method": method,
            "default": method in ("randomization test", DEFAULT[clusters < 40]),
            "type_one_error": size[method].mean(),
            "coverage": 1 - missed[method].mean(),
            "power": power[method].mean(),
            "simulations": simulations,
        }
        for method in size
    )


def table_of(simulations):
    parts = []
    for clusters in CLUSTERS:
        for officers in OFFICERS:
            parts.append(cell(clusters, officers, simulations))
            print(parts[-1].to_string(index=False), flush=True)
    return pd.concat(parts, ignore_index=True)


def as_markdown(table, simulations):
    error = np.sqrt(0.05 * 0.95 / simulations)
    lines = [
        "# Type-I error, coverage and power by number of clusters",
        "",
        f"Made by `python validation/type_one_error.py --simulations {simulations}`. Wedges of 24 months and"
        f" 600 officers; level 5 %; coverage and power at a ratio of {RATIO}; {simulations:,} simulations a"
        f" cell (Monte-Carlo sd of a type-I error of 5 %: {error:.3f}). Bold: what `rct` takes by default.",
        "",
        "| clusters | officers | method | type-I error | coverage | power |",
        "|---|---|---|---|---|---|",
    ]
    for row in table.itertuples():
        name = f"**{row.method}**" if row.default else row.method
        lines.append(
            f"| {row.clusters} | {row.officers} | {name} | {row.type_one_error:.3f} | {row.coverage:.3f}"
            f" | {row.power:.3f} |"
        )
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=1000)
    simulations = parser.parse_args().simulations
    table = table_of(simulations)
    here = Path(__file__).parent
    table.to_csv(here / "type_one_error.csv", index=False, float_format="%.4f")
    (here / "type_one_error.md").write_text(as_markdown(table, simulations), encoding="utf-8")


if __name__ == "__main__":
    main()
