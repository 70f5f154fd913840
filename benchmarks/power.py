"""Power by simulation, beside the same study as a loop over statsmodels.

    python benchmarks/power.py [--workers N] [--loop N]

Louisville as declared: three outcomes, 9 divisions × 24 months, a score test of 999 re-randomizations. The
loop makes the same counts and fits statsmodels' GLM: the null model, whose residuals are re-randomized (p
alone); the model with treatment and clustered errors too (estimate and p); or the model again in every
re-randomization, as one would without the score (timed on one replicate, one outcome and 20 draws).
"""

import argparse
import sys
import time

import numpy as np

import rct
from rct.cli.power_verb import worker_pool
from rct.simulation import declared_truth, synthetic_roster
from rct.simulation.cluster_totals import draw_totals

DRAWS = 999


def declared(*, secondary: bool) -> rct.Trial:
    """Give the shipped trial with one constant effect, or as it is."""
    text = rct.load("louisville_icat").to_toml()
    if secondary:
        return rct.Trial.parse(text)
    before, after = text[: text.index("[analysis]")], text[text.index("[power]") :]
    promise = '[analysis]\nprimary = { estimator = "poisson", effect = "constant" }\nseed = 1\n\n'
    return rct.Trial.parse(before + promise + after)


def loop(replicates: int, *, estimate: bool = False, refit: int = 0) -> float:
    """Give the seconds of one replicate of three outcomes, written with statsmodels."""
    import statsmodels.api as sm

    trial = declared(secondary=False)
    allocation = rct.randomize(trial, synthetic_roster(trial), seed="loop")
    truth = declared_truth(trial)
    dose = allocation.sequences.pivot(index="sequence", columns="period", values="dose").to_numpy()
    effects = truth.log_effects(allocation.sequences)
    sizes = np.bincount(np.arange(600) % 9)
    division, month = np.divmod(np.arange(9 * 24), 24)
    null = np.hstack([np.eye(9)[division], np.eye(24)[month][:, 1:]])
    start = time.perf_counter()
    for r in range(replicates):
        rng = np.random.default_rng(r)
        sequence = rng.permutation(9)
        counts = draw_totals(rng, truth, sizes, effects[:, sequence])
        draws = np.array([rng.permutation(9) for _ in range(DRAWS)])
        for outcome in range(1 if refit else 3):
            y = counts[outcome].ravel()
            fitted = sm.GLM(y, null, family=sm.families.Poisson()).fit().fittedvalues
            residual = (y - fitted).reshape(9, 24)
            if estimate:
                design = np.column_stack([null, dose[sequence].ravel()])
                model = sm.GLM(y, design, family=sm.families.Poisson())
                model.fit(cov_type="cluster", cov_kwds={"groups": division})
            if refit:
                for other in draws[:refit]:
                    changed = np.column_stack([null, dose[other].ravel()])
                    sm.GLM(y, changed, family=sm.families.Poisson()).fit()
            else:
                observed = (residual * dose[sequence]).sum()
                null_scores = np.array([(residual * dose[other]).sum() for other in draws])
                (1 + (np.abs(null_scores) >= abs(observed)).sum()) / (1 + DRAWS)
    return (time.perf_counter() - start) / replicates


def timed(trial: rct.Trial, workers: int, *, only_p: bool) -> float:
    """Give the seconds of a study, the workers warm."""
    from rct.power.study import declared_study
    from rct.power.trial_power import all_blocks

    study = declared_study(trial, None, effects=None, draws=DRAWS, seed=1, only_p=only_p)
    with worker_pool(workers) as executor:
        all_blocks(study, 128, executor, None)
        start = time.perf_counter()
        all_blocks(study, 1000, executor, None)
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--loop", type=int, default=10)
    options = parser.parse_args()
    one, whole = declared(secondary=False), declared(secondary=True)
    shared = timed(one, options.workers, only_p=True), timed(whole, options.workers, only_p=False)
    score, fitted = timed(one, 1, only_p=True), timed(one, 1, only_p=False)
    by_score = 1000 * loop(options.loop)
    by_fit = 1000 * loop(options.loop, estimate=True)
    by_refit = 1000 * 3 * loop(1, refit=20) / 20 * DRAWS
    lines = [
        f"1,000 replicates of three outcomes, {DRAWS} re-randomizations",
        f"{options.workers} workers",
        f"  p of the score test                            {shared[0]:8.1f} s",
        f"  as declared: both answers, CR2, coverage,      {shared[1]:8.1f} s",
        "  and the false positives",
        "one process                                       rct       loop   ratio",
        f"  p of the score test                        {score:8.1f} {by_score:8.0f} {by_score / score:8.0f}",
        f"  estimate, CR2 error, coverage, p, and the  {fitted:8.1f} {by_fit:8.0f} {by_fit / fitted:8.0f}",
        "  false positives (the loop: estimate, error, p)",
        f"  p; the loop refits in every draw           {score:8.1f} {by_refit:8.0f} {by_refit / score:8.0f}",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
