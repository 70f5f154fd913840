"""Posterior probabilities of a reduction in trials of few clusters: fast approximations beside full sampling.

    python validation/assurance_posteriors.py --trials 8

For each design, trials are simulated as `rct.power.assurance` would (true log ratio from the design prior),
and each is analysed three ways with the same priors: the marginal model with its cluster effects sampled by
nutpie, the fast posterior of `rct.power.cluster_posterior`, and the normal approximation of the primary
analysis. Goes on where it stopped.
"""

import argparse
import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtr

import rct
from rct.bayesian.priors import DEFAULTS
from rct.power.cluster_posterior import cluster_totals, probability_below_one
from rct.power.panel_replicates import replicate_panel
from rct.power.prior_power import posterior_z
from rct.power.study import Study, declared_study

HERE = Path(__file__).parent
SEED = 20261129
COLUMNS = ("design", "number", "estimate", "std_error", "df", "sampled", "rhat")

TRIAL = """
format = 1
name = "few clusters"
[units]
randomize = "division"
measure = "officer"
id = "officer_id"
[arms]
control = "usual"
treatments = ["ICAT"]
[schedule]
{schedule}
[[outcomes]]
name = "force"
primary = true
direction = "decrease"
[analysis]
primary = {primary}
inference = "cluster-robust"
seed = 1
[power]
effects = {{ force = 0.75 }}
rates = {{ force = {rate} }}
clusters = {clusters}
units = {units}
heterogeneity = 0.6
cluster_sd = 0.15
cluster_period_sd = 0.10
"""
FITTED, BY_PERIOD = '"poisson"', '{ estimator = "poisson", fixed_effects = ["period"] }'
DESIGNS = {
    "wedge, 9 divisions": ('kind = "stepped-wedge"\nperiods = 24\nbaseline = 12', FITTED, 9, 600, 0.05),
    "wedge, 5 divisions": (
        'kind = "stepped-wedge"\nperiods = 15\nbaseline = 6\nstep = 2',
        FITTED,
        5,
        200,
        0.05,
    ),
    "baseline, 6 divisions": ('kind = "parallel"\nperiods = 12\nbaseline = 6', FITTED, 6, 240, 0.05),
    "parallel, 8 divisions": ('kind = "parallel"\nperiods = 8', BY_PERIOD, 8, 320, 0.05),
}


def study_of(design: str) -> Study:
    """Lay out the study of one design."""
    schedule, primary, clusters, units, rate = DESIGNS[design]
    text = TRIAL.format(schedule=schedule, primary=primary, clusters=clusters, units=units, rate=rate)
    study = declared_study(rct.Trial.parse(text), None, effects=None, draws=99, seed=SEED)
    return replace(study, effect_sd={"force": 0.2})


def sampled(study: Study, design: str, number: int) -> dict[str, object]:
    """Simulate one trial; give its primary estimate and the sampled probability of a reduction."""
    panel, _ = replicate_panel(study, number)
    fit = rct.frequentist.poisson(panel, "force", **study.trial.analysis.primary.options)
    found = rct.bayesian.fit(panel, "force", model="stepped-wedge", draws=1500, chains=2, seed=number + 1)
    return {
        "design": design, "number": number, "estimate": fit.estimate, "std_error": fit.std_error,
        "df": fit.df, "sampled": float((found.effect_draws("force") < 0).mean()),
        "rhat": max(found.diagnostics["rhat"].values()),
    }  # fmt: skip


def sample_all(trials: int) -> None:
    """Sample what the table lacks."""
    path = HERE / "assurance_posteriors.csv"
    done = set()
    if path.exists():
        with path.open() as file:
            done = {(row["design"], int(row["number"])) for row in csv.DictReader(file)}
    with path.open("a", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if not done:
            table.writeheader()
        for number in range(trials):
            for design in DESIGNS:
                if (design, number) not in done:
                    table.writerow(sampled(study_of(design), design, number))
                    file.flush()


def table() -> None:
    """Set the fast posterior and the normal approximation beside what was sampled, and write the page."""
    kept = pd.read_csv(HERE / "assurance_posteriors.csv").query("rhat < 1.02")
    fast = []
    for design, number in zip(kept["design"], kept["number"], strict=True):
        panel, _ = replicate_panel(study_of(design), number)
        fast.append(probability_below_one(cluster_totals(panel.rows("force")), DEFAULTS))
    normal = ndtr(-posterior_z(kept["estimate"], kept["std_error"], *DEFAULTS["effect"]["normal"]))
    lines = [
        f"| {design} | {number} | {sampled:.3f} | {quick:.3f} | {rough:.3f} |"
        for design, number, sampled, quick, rough in zip(
            kept["design"], kept["number"], kept["sampled"], fast, normal, strict=True
        )
    ]
    apart = {name: np.abs(own - kept["sampled"]) for name, own in (("fast", fast), ("normal", normal))}
    said = {name: f"{gap.mean():.3f} on average and at most {gap.max():.3f}" for name, gap in apart.items()}
    shown = {
        name: f"{(np.array(own) > 0.95).sum()}"
        for name, own in (("sampled", kept["sampled"]), ("fast", fast), ("normal", normal))
    }
    text = PAGE.format(
        count=len(kept), lines="\n".join(lines), fast=said["fast"], normal=said["normal"],
        shown_sampled=shown["sampled"], shown_fast=shown["fast"], shown_normal=shown["normal"],
    )  # fmt: skip
    (HERE / "assurance_posteriors.md").write_text(text, encoding="utf-8")


PAGE = """# The posterior behind assurance, in trials of few clusters

`python validation/assurance_posteriors.py --trials 7`

`rct.power.assurance` cannot sample a posterior in each of a thousand simulated trials. Here is the
probability of a reduction in {count} simulated trials of five to nine divisions, by sampling the model
`stepped-wedge` (nutpie, 2 chains of 1,500 draws; fits with R-hat above 1.02 left out), by the fast
posterior (`rct/power/cluster_posterior.py`, Laplace's method over a grid of the two standard deviations),
and by the normal approximation from the primary analysis's estimate and CR2 standard error. All with the
default priors.

The fast posterior is {fast} from sampling, whose own error is up to .02; the normal approximation is
{normal}. Above .95 are {shown_sampled} trials by sampling, {shown_fast} by the fast posterior and
{shown_normal} by the normal approximation. The normal approximation is not only too sure or too doubtful:
a fixed effect of each division and a standard error from a handful of clusters leave it another estimate,
with less information, than the model has.

| design | trial | sampled | fast | normal |
|---|---|---|---|---|
{lines}
"""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=7)
    sample_all(parser.parse_args().trials)
    table()
