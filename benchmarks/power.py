"""Power by simulation, beside the same study as a loop over statsmodels.

    python benchmarks/power.py [--workers N] [--loop N]

Louisville as declared: three outcomes, 9 divisions × 24 months, a score test of 999 re-randomizations. The
loop makes the same counts and fits statsmodels' GLM. "p": the null model, whose residuals are re-randomized.
"less": the model with treatment and statsmodels' clustered errors too. "same": all that ours computes, that
is the estimate with the CR2 error of the textbook (statsmodels has none), the test of the true ratio, which
tells coverage, and the test in a trial without an effect. "refit": p from the model fitted again in every
re-randomization, as one would without the score (timed on one replicate, one outcome and 20 draws).
"""

import argparse
import sys
import time

import numpy as np
import statsmodels.api as sm

import rct
from rct.cli.power_verb import worker_pool
from rct.frequentist.inference.score_randomization import score_p_values
from rct.frequentist.replicate_fits import fit_batch
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


class Louisville:
    """The trial's layout, its simulator and its analyses as a loop has them."""

    def __init__(self) -> None:
        trial = declared(secondary=False)
        sequences = rct.randomize(trial, synthetic_roster(trial), seed="loop").sequences
        self.truth = declared_truth(trial)
        self.dose = sequences.pivot(index="sequence", columns="period", values="dose").to_numpy()
        self.effects = self.truth.log_effects(sequences)
        self.sizes = np.bincount(np.arange(600) % 9)
        self.division, self.month = np.divmod(np.arange(9 * 24), 24)
        self.null = np.hstack([np.eye(9)[self.division], np.eye(24)[self.month][:, 1:]])

    def counts(self, rng: np.random.Generator, sequence: np.ndarray, *, effect: bool) -> np.ndarray:
        log_effects = self.effects[:, sequence] * effect
        return draw_totals(rng, self.truth, self.sizes, log_effects).reshape(3, -1)

    def p_value(
        self, y: np.ndarray, sequence: np.ndarray, draws: np.ndarray, log_ratio: float = 0.0
    ) -> float:
        """Score test of a ratio: statsmodels' null fit, its residuals re-randomized."""
        offset = log_ratio * self.dose[sequence].ravel()
        fitted = sm.GLM(y, self.null, family=sm.families.Poisson(), offset=offset).fit().fittedvalues
        residual = (y - fitted).reshape(9, 24)
        observed = (residual * self.dose[sequence]).sum()
        drawn = np.array([(residual * self.dose[other]).sum() for other in draws])
        return float((1 + (np.abs(drawn) >= abs(observed)).sum()) / (1 + len(draws)))

    def fit(self, y: np.ndarray, sequence: np.ndarray, *, clustered: bool) -> tuple[np.ndarray, np.ndarray]:
        """Design and the fit's coefficients, with statsmodels' clustered errors where wanted."""
        design = np.column_stack([self.null, self.dose[sequence].ravel()])
        model = sm.GLM(y, design, family=sm.families.Poisson())
        options = {"cov_type": "cluster", "cov_kwds": {"groups": self.division}} if clustered else {}
        return design, model.fit(**options).params

    def cr2(self, y: np.ndarray, sequence: np.ndarray) -> tuple[float, float, float]:
        """Estimate, CR2 error and Satterthwaite df (Bell & McCaffrey 2002), division by division."""
        design, coefficients = self.fit(y, sequence, clustered=False)
        mu = np.exp(design @ coefficients)
        bread = np.linalg.pinv(design.T @ (mu[:, None] * design))
        whole = np.diag(mu) - mu[:, None] * (design @ bread @ design.T) * mu
        variance, rows = 0.0, []
        for one in range(9):
            own = self.division == one
            root = np.sqrt(mu[own])
            values, vectors = np.linalg.eigh(root[:, None] * whole[np.ix_(own, own)] * root)
            keep = values > 1e-10 * values.max()
            power = (vectors[:, keep] * values[keep] ** -0.5) @ vectors[:, keep].T
            weight = (bread[-1] @ design[own].T) @ (root[:, None] * power * root)
            variance += float(weight @ (y - mu)[own]) ** 2
            rows.append(np.zeros(len(y)))
            rows[-1][own] = weight
        spread = np.array(rows) @ whole @ np.array(rows).T
        return float(coefficients[-1]), variance**0.5, float(np.trace(spread) ** 2 / (spread**2).sum())


def loop(replicates: int, does: str) -> float:
    """Give the seconds of one replicate of three outcomes (of one draw of one outcome: "refit")."""
    study = Louisville()
    start = time.perf_counter()
    for r in range(replicates):
        rng = np.random.default_rng(r)
        sequence = rng.permutation(9)
        counts = study.counts(rng, sequence, effect=True)
        draws = np.array([rng.permutation(9) for _ in range(DRAWS)])
        if does == "refit":
            for other in draws[:20]:
                study.fit(counts[0], other, clustered=False)
            return (time.perf_counter() - start) / 20
        unchanged = study.counts(rng, sequence, effect=False) if does == "same" else counts
        for outcome, y in enumerate(counts):
            study.p_value(y, sequence, draws)
            if does == "less":
                study.fit(y, sequence, clustered=True)
            if does == "same":
                study.cr2(y, sequence)
                study.p_value(y, sequence, draws, study.effects[outcome].min())
                study.p_value(unchanged[outcome], sequence, draws)
    return (time.perf_counter() - start) / replicates


def check() -> None:
    """Hold the loop's CR2 and score test against ours before anything is timed."""
    study, rng = Louisville(), np.random.default_rng(1)
    sequence = rng.permutation(9)
    y = study.counts(rng, sequence, effect=True)[0]
    draws = np.array([rng.permutation(9) for _ in range(DRAWS)])
    table, dose = y.reshape(1, 9, 24).astype(float), study.dose[sequence][None]
    ours = fit_batch(table, dose[..., None], np.ones(1))
    found = (ours.estimate[0], ours.std_error[0], ours.df[0])
    np.testing.assert_allclose(study.cr2(y, sequence), found, rtol=1e-6)
    uniform = np.full((9, 9), 1 / 9)
    p = score_p_values(table, study.dose, sequence[None], draws, probabilities=uniform)
    np.testing.assert_allclose(study.p_value(y, sequence, draws), p[0], atol=1.5 / DRAWS)


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
    check()
    shared = timed(one, options.workers, only_p=True), timed(whole, options.workers, only_p=False)
    score, fitted = timed(one, 1, only_p=True), timed(one, 1, only_p=False)
    p, less, same = (1000 * loop(options.loop, does) for does in ("p", "less", "same"))
    refit = 1000 * 3 * DRAWS * loop(1, "refit")
    lines = [
        f"1,000 replicates of three outcomes, {DRAWS} re-randomizations",
        f"{options.workers} workers",
        f"  p of the score test                             {shared[0]:8.1f} s",
        "  as declared: both answers, CR2, coverage and",
        f"  the false positives                             {shared[1]:8.1f} s",
        "one process                                            rct       loop    ratio",
        f"  p of the score test                             {score:8.2f} {p:8.0f}   {p / score:8.0f}",
        f"  estimate, CR2, coverage, p and false positives  {fitted:8.2f} {same:8.0f}   {same / fitted:8.0f}",
        f"    the loop: estimate, clustered error and p     {fitted:8.2f} {less:8.0f}   {less / fitted:8.0f}",
        f"  p; the loop refits in every draw                {score:8.2f} {refit:8.0f}   {refit / score:8.0f}",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
