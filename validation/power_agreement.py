"""Closed forms of power against simulated studies, design by design.

    python validation/power_agreement.py [--simulations N]

Cell means are drawn from their normal law, counts as Poisson totals with gamma officers and lognormal
clusters; each row draws its studies, tests each as it says, and sets the rejections beside the formula.
Wedges of counts, whose every study is fitted, have a 25th of the simulations. Writes power_agreement.csv and
power_agreement.md beside itself.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t as student

from rct import power
from rct.frequentist.inference.score_randomization import score_p_values
from rct.frequentist.replicate_fits import fit_batch

Z = 1.959963984540054
FITTED_SHARE = 25
CHUNK = 200
DRAWS = 999

WEDGE = [[0] * (1 + k) + [1] * (9 - k) for k in range(9)]
TRANSITION = [[0] * (1 + k) + [None] + [1] * (9 - k) for k in range(9)]
STAIRCASE = [[None] * k + [0, 1] + [None] * (8 - k) for k in range(9)]
RAMP = [[0] * (3 + k) + [0.25, 0.5, 0.75] + [1] * (4 - k) for k in (0, 0, 1, 1, 2, 2, 3, 3)]
SIZES = [30, 45, 52, 60, 61, 66, 75, 80, 120]


def gls(name, design, effect, **assumed):
    """Normal cell means, tested by generalized least squares with the known covariance."""

    def simulate(rng, n):
        doses = np.array(design, dtype=float)
        seen = ~np.isnan(doses)
        V = covariance(doses, **assumed)[np.ix_(seen.ravel(), seen.ravel())]
        periods = np.nonzero(seen)[1]
        X = np.column_stack([doses[seen], *((periods == p) for p in np.unique(periods))]).astype(float)
        root = np.linalg.cholesky(V)
        Xw = np.linalg.solve(root, X)
        bread = np.linalg.pinv(Xw.T @ Xw)
        weights = np.linalg.solve(root.T, Xw @ bread[0])
        means = effect * doses[seen] + np.sin(periods)  # any period effects
        estimates = (means + rng.normal(size=(n, len(means))) @ root.T) @ weights
        return np.abs(estimates) > Z * np.sqrt(bread[0, 0])

    formula = power.cluster_design(design, effect=effect, **assumed).power
    return name, "GLS, known variance, z", "cluster_design", formula, simulate


def covariance(doses, *, cell_size, icc, cac=1.0, iac=0.0, decay=False):
    """Covariance of all cells, cluster by cluster, element by element from its definition."""
    clusters, periods = doses.shape
    size = np.broadcast_to(np.reshape(cell_size, (-1, 1)) if np.ndim(cell_size) else cell_size, doses.shape)
    V = np.zeros((clusters, periods, clusters, periods))
    for k in range(clusters):
        for s in range(periods):
            for u in range(periods):
                if s == u:
                    V[k, s, k, u] = icc + (1 - icc) / size[k, s]
                else:
                    V[k, s, k, u] = icc * (cac ** abs(s - u) if decay else cac) + (1 - icc) * iac / size[k, s]
    return V.reshape(clusters * periods, -1)


def two_sample(name, clusters, effect, cell_size, icc):
    """Normal cluster means in two arms, tested by Student's t with the variance estimated."""

    def simulate(rng, n):
        sd = np.sqrt(icc + (1 - icc) / cell_size)
        means = rng.normal(scale=sd, size=(n, 2, clusters))
        gap = means[:, 0].mean(axis=1) + effect - means[:, 1].mean(axis=1)
        se = np.sqrt(means.var(axis=2, ddof=1).mean(axis=1) * 2 / clusters)
        return np.abs(gap) > student.ppf(0.975, 2 * clusters - 2) * se

    answer = power.cluster_means(effect=effect, clusters=clusters, cell_size=cell_size, icc=icc)
    return name, "t of cluster means, 2(k − 1) df", "cluster_means", answer.power, simulate


def change_scores(name, clusters, effect, cell_size, icc, cac):
    """Normal cluster means before and after, tested by Student's t of the changes."""

    def simulate(rng, n):
        within = np.sqrt(icc * (1 - cac) + (1 - icc) / cell_size)
        cells = rng.normal(scale=within, size=(n, 2, clusters, 2))
        cells += rng.normal(scale=np.sqrt(icc * cac), size=(n, 2, clusters, 1))
        change = cells[..., 1] - cells[..., 0]
        gap = change[:, 0].mean(axis=1) + effect - change[:, 1].mean(axis=1)
        se = np.sqrt(change.var(axis=2, ddof=1).mean(axis=1) * 2 / clusters)
        return np.abs(gap) > student.ppf(0.975, 2 * clusters - 2) * se

    answer = power.cluster_means(
        effect=effect, clusters=clusters, cell_size=cell_size, icc=icc, cac=cac, baseline=True
    )
    return name, "t of changes, 2(k − 1) df", "cluster_means, baseline", answer.power, simulate


def normal_of_few(name, clusters, effect, cell_size, icc):
    """The same studies as two_sample, set beside the normal formula."""
    _, test, _, _, simulate = two_sample(name, clusters, effect, cell_size, icc)
    answer = power.cluster_means(
        effect=effect, clusters=clusters, cell_size=cell_size, icc=icc, distribution="normal"
    )
    return name, test, "cluster_means, normal", answer.power, simulate


def totals(name, test, *, formula_test, **study):
    """Two totals of counts of Poisson or gamma-Poisson officers."""
    n, n0, k = study["n"], study["n_control"], study.get("dispersion", 0)
    mu0 = study["rate"] * study["exposure"]
    mu1 = mu0 * study["ratio"]

    def simulate(rng, sims):
        y1, y0 = (rng.poisson(expected_total(rng, *group, k, sims)) for group in ((n, mu1), (n0, mu0)))
        if test == "score":
            return np.abs(y1 - n / n0 * y0) > Z * np.sqrt(n / n0 * (y1 + y0))
        with np.errstate(divide="ignore", invalid="ignore"):
            se = np.sqrt(1 / y1 + 1 / y0 + k / n + k / n0)
            return np.abs(np.log(y1 / n) - np.log(y0 / n0)) > Z * se

    words = "score" if test == "score" else "Wald, log ratio" + (", k known" if k else "")
    formula = power.rates(**study, test=formula_test).power
    return name, words, f"rates, {formula_test}", formula, simulate


def expected_total(rng, n, mean, dispersion, sims):
    return rng.gamma(n / dispersion, mean * dispersion, sims) if dispersion else np.full(sims, n * mean)


def enumerated(name, **study):
    """The exact score test, against draws of the same totals."""
    _, words, _, _, simulate = totals(name, "score", formula_test="pooled-difference", **study)
    return name, words, "rates_exact", power.rates_exact(**study, test="score"), simulate


def equivalence(name, margins, **study):
    """Two one-sided Wald tests of two totals."""
    n, n0, mu = study["n"], study["n_control"], study["rate"] * study["exposure"]

    def simulate(rng, sims):
        y1, y0 = rng.poisson(n * mu, sims), rng.poisson(n0 * mu, sims)
        estimate, se = np.log(y1 / n / (y0 / n0)), np.sqrt(1 / y1 + 1 / y0)
        z = 1.6448536269514722
        return (estimate - z * se > np.log(margins[0])) & (estimate + z * se < np.log(margins[1]))

    answer = power.rates_equivalence(**study, margins=margins)
    return name, "two one-sided Wald tests", "rates_equivalence", answer.power, simulate


def two_proportions(name, control, treated, n, n_control):
    """Two binomial counts, tested by the pooled z."""

    def simulate(rng, sims):
        y1, y0 = rng.binomial(n, treated, sims), rng.binomial(n_control, control, sims)
        pooled = (y1 + y0) / (n + n_control)
        se = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / n_control))
        return np.abs(y1 / n - y0 / n_control) > Z * se

    answer = power.proportions(control=control, treated=treated, n=n, n_control=n_control)
    return name, "pooled z", "proportions, pooled", answer.power, simulate


def log_rates(name, clusters, person_time, rate, ratio, cluster_sd):
    """Counts of clusters in two arms, tested by Student's t of their log rates."""

    def simulate(rng, sims):
        frailty = np.exp(rng.normal(scale=cluster_sd, size=(sims, 2, clusters)))
        mean = person_time * rate * np.array([1, ratio])[:, np.newaxis] * frailty
        y = np.log(np.maximum(rng.poisson(mean), 0.5))
        gap = y[:, 1].mean(axis=1) - y[:, 0].mean(axis=1)
        se = np.sqrt(y.var(axis=2, ddof=1).mean(axis=1) * 2 / clusters)
        return np.abs(gap) > student.ppf(0.975, 2 * clusters - 2) * se

    answer = power.count_design(
        [[0], [1]], copies=clusters, units=person_time, rate=rate, ratio=ratio, cluster_sd=cluster_sd,
        distribution="noncentral-t",
    )  # fmt: skip
    return name, "t of log rates, 2(k − 1) df", "count_design, noncentral t", answer.power, simulate


def count_wedge(name, copies, ratio, step, first, test):
    """A Louisville-like wedge: 9 sequences × 24 months, two-way fixed effects on cluster totals."""
    table = (np.arange(24) >= first + step * np.arange(9)[:, np.newaxis]).astype(float)
    assumed = {"units": 600 / 9, "rate": 0.05, "cluster_sd": 0.15, "cluster_period_sd": 0.10, "shape": 0.6}
    plan = power.count_design(
        table, ratio=ratio, copies=copies, estimator="fixed-effects", **assumed,
        distribution="noncentral-t" if test == "CR2" else "normal",
    )  # fmt: skip
    followed = np.tile(np.arange(9), copies)
    dose = table[followed]

    def simulate(rng, sims):
        sims //= FITTED_SHARE
        shape = (sims, len(followed), 1)
        log_rate = np.log(0.05 * 600 / 9) + dose * np.log(ratio) + rng.normal(scale=0.15, size=shape)
        log_rate = log_rate + rng.normal(scale=0.10, size=(sims, *dose.shape))
        officers = rng.gamma(0.6 * 600 / 9, 9 / 0.6 / 600, size=shape)
        counts = rng.poisson(np.exp(log_rate) * officers).astype(float)
        orders = np.array([rng.permutation(followed) for _ in range(DRAWS)], dtype=np.int16)
        parts = [counts[i : i + CHUNK] for i in range(0, sims, CHUNK)]
        return np.concatenate([rejected(y, table, followed, orders, test, plan) for y in parts])

    words = {"z": "two-way FE Poisson, known variance, z", "CR2": "two-way FE Poisson, CR2, Satterthwaite"}
    formula = f"count_design, fixed effects, {plan.distribution.replace('-', ' ')}"
    return name, words.get(test, "randomization of the score"), formula, plan.power, simulate


def rejected(counts, table, followed, orders, test, plan):
    own = np.tile(followed.astype(np.int16), (len(counts), 1))
    if test == "randomization":
        return score_p_values(counts, table, own, orders) <= 0.05
    fits = fit_batch(counts, table[own][..., np.newaxis], np.ones(1))
    return fits.p_values() <= 0.05 if test == "CR2" else np.abs(fits.estimate) > Z * np.sqrt(plan.variance)


def looks(name, kind):
    """A trial of four looks, stopped at the first crossing."""
    trial = power.group_sequential(4, kind=kind, power=0.8)

    def simulate(rng, sims):
        steps = rng.normal(trial.drift / 4, 0.5, size=(sims, 4))
        return (steps.cumsum(axis=1) / np.sqrt(trial.information) > trial.bounds).any(axis=1)

    return name, "crossing on the effect's side", "group_sequential", trial.power, simulate


def several_arms(name, deltas, n):
    """Three arms and a control, known variance, any found by Dunnett's value."""
    expected = [delta / np.sqrt(2 / n) for delta in deltas]
    answer = power.dunnett(expected)

    def simulate(rng, sims):
        means = np.array([0, *deltas]) + rng.normal(scale=n**-0.5, size=(sims, 1 + len(deltas)))
        return (np.abs(means[:, 1:] - means[:, :1]) > answer.critical_value * np.sqrt(2 / n)).any(axis=1)

    return name, "any arm found, single step", "dunnett", answer.any, simulate


def three_outcomes(name, expected, correlation):
    """Three correlated z tests under Holm's procedure, all to be found."""

    def simulate(rng, sims):
        z = rng.multivariate_normal(expected, correlation, size=sims)
        falling = -np.sort(-np.abs(z), axis=1)
        return (falling > [2.3939797998185104, 2.241402727604947, Z]).all(axis=1)

    answer = power.endpoints(expected, correlation, procedure="holm")
    return name, "all three found, Holm", "endpoints", answer.all, simulate


OFFICERS = {"rate": 0.05, "exposure": 12}
EXACT, LARGE, ROUGH = "exact", "large samples", "rough, and said to be"
CASES = [
    (EXACT, gls("wedge 9 × 10, Hussey & Hughes", WEDGE, 0.1, cell_size=60, icc=0.02)),
    (EXACT, gls("wedge 9 × 10, nested exchangeable", WEDGE, 0.15, cell_size=60, icc=0.05, cac=0.8)),
    (EXACT, gls("wedge 9 × 10, decay", WEDGE, 0.15, cell_size=60, icc=0.05, cac=0.9, decay=True)),
    (EXACT, gls("wedge 9 × 10, closed cohort", WEDGE, 0.1, cell_size=60, icc=0.05, cac=0.9, iac=0.4)),
    (EXACT, gls("wedge 9 × 10, unequal sizes", WEDGE, 0.1, cell_size=SIZES, icc=0.02, cac=0.9)),
    (EXACT, gls("wedge 9 × 11, a transition period", TRANSITION, 0.12, cell_size=60, icc=0.02, cac=0.9)),
    (EXACT, gls("wedge 8 × 10, doses .25 to 1", RAMP, 0.35, cell_size=30, icc=0.03, cac=0.9)),
    (EXACT, gls("staircase 9 × 10", STAIRCASE, 0.15, cell_size=80, icc=0.02, cac=0.9)),
    (EXACT, gls("crossover 10 × 2", [[0, 1], [1, 0]] * 5, 0.15, cell_size=60, icc=0.04, cac=0.9)),
    (EXACT, gls("parallel with baseline 16 × 2", [[0, 0], [0, 1]] * 8, 0.3, cell_size=50, icc=0.05, cac=0.6)),
    (EXACT, two_sample("parallel, 6 + 6 clusters", 6, 0.35, 60, 0.02)),
    (EXACT, two_sample("parallel, 3 + 3 clusters", 3, 0.6, 60, 0.02)),
    (EXACT, change_scores("parallel with baseline, 8 + 8 clusters", 8, 0.35, 50, 0.05, 0.6)),
    (ROUGH, normal_of_few("parallel, 6 + 6 clusters", 6, 0.35, 60, 0.02)),
    (ROUGH, normal_of_few("parallel, 3 + 3 clusters", 3, 0.6, 60, 0.02)),
    (LARGE, totals("officers 300 + 300, Poisson", "score", formula_test="pooled-difference", n=300,
                   n_control=300, ratio=0.75, **OFFICERS)),
    (LARGE, totals("officers 3000 + 3000, Poisson, ratio .92", "wald", formula_test="wald", n=3000,
                   n_control=3000, ratio=0.92, **OFFICERS)),
    (LARGE, totals("officers 3000 + 3000, gamma shape .6, ratio .88", "wald", formula_test="wald", n=3000,
                   n_control=3000, ratio=0.88, dispersion=1 / 0.6, **OFFICERS)),
    (EXACT, enumerated("officers 60 + 60, 6 months, ratio .5", n=60, n_control=60, ratio=0.5, rate=0.05,
                       exposure=6)),
    (ROUGH, totals("officers 40 + 80, ratio .6", "score", formula_test="score", n=40, n_control=80, ratio=0.6,
                   **OFFICERS)),
    (ROUGH, totals("officers 40 + 40, 4 months, ratio .4", "wald", formula_test="wald", n=40, n_control=40,
                   ratio=0.4, rate=0.05, exposure=4)),
    (LARGE, equivalence("officers 5000 + 2500, margins .9 to 1.11", (0.9, 1 / 0.9), n=5000, n_control=2500,
                        **OFFICERS)),
    (LARGE, two_proportions("proportions .20, .17 of 2000 + 2500", 0.20, 0.17, 2000, 2500)),
    (LARGE, log_rates("parallel counts, 9 + 9 divisions, 4000 officer-months", 9, 4000, 0.05, 0.8, 0.15)),
    (ROUGH, log_rates("parallel counts, 6 + 6 divisions, 200 officer-months", 6, 200, 0.05, 0.6, 0.25)),
    (EXACT, looks("four looks, O'Brien–Fleming", "obrien-fleming")),
    (EXACT, looks("four looks, Lan–DeMets Pocock", "lan-demets-pocock")),
    (EXACT, several_arms("three doses and a control", [0.2, 0.3, 0.4], 120)),
    (EXACT, three_outcomes("force and both injuries", [2.8, 2.4, 2.0],
                           [[1, 0.6, 0.4], [0.6, 1, 0.5], [0.4, 0.5, 1]])),
    (LARGE, count_wedge("wedge of counts, 45 divisions, ratio .82", 5, 0.82, 1, 12, "z")),
    (LARGE, count_wedge("wedge of counts, 45 divisions, ratio .82", 5, 0.82, 1, 12, "randomization")),
    (LARGE, count_wedge("wedge of counts, 45 divisions, ratio .82", 5, 0.82, 1, 12, "CR2")),
    (ROUGH, count_wedge("wedge of counts, 9 divisions, ratio .75", 1, 0.75, 1, 12, "z")),
    (ROUGH, count_wedge("wedge of counts, 9 divisions, ratio .75", 1, 0.75, 1, 12, "randomization")),
    (ROUGH, count_wedge("wedge of counts, 9 divisions, ratio .75", 1, 0.75, 1, 12, "CR2")),
    (ROUGH, count_wedge("… a crossing every second month", 1, 0.75, 2, 3, "randomization")),
    (ROUGH, count_wedge("… a crossing every second month", 1, 0.75, 2, 3, "CR2")),
]  # fmt: skip


def table_of(simulations, cases=None):
    rows = []
    for number, (kind, (design, test, formula, expected, simulate)) in enumerate(cases or CASES):
        found = simulate(np.random.default_rng([20261128, number]), simulations)
        share, error = found.mean(), np.sqrt(expected * (1 - expected) / len(found))
        rows.append(
            {
                "design": design, "test": test, "formula": formula, "kind": kind, "closed_form": expected,
                "simulated": share, "mc_error": error, "gap": (share - expected) / error,
                "simulations": len(found),
            }
        )  # fmt: skip
        print(*rows[-1].values(), flush=True)
    return pd.DataFrame(rows)


def as_markdown(table, simulations):
    sound = table[table["kind"] != ROUGH]
    held = int((sound["gap"].abs() <= 3).sum())
    lines = [
        "# Closed forms of power against simulation",
        "",
        f"Made by `python validation/power_agreement.py --simulations {simulations}`. Level 5 %, two-sided."
        " Gap: simulated less closed form, in Monte-Carlo errors. Exact: the formula is the law of the"
        " simulated statistic; large samples: its limit; rough: few clusters or few events, where `rct.power`"
        f" names the limits. Of the {len(sound)} rows that are not rough {held} agree within 3 Monte-Carlo"
        " errors.",
        "",
        "| design | simulated test | formula | kind | closed form | simulated | MC error | gap |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in table.itertuples():
        gap = f"{row.gap:+.1f}" if abs(row.gap) <= 3 else f"**{row.gap:+.1f}**"
        lines.append(
            f"| {row.design} | {row.test} | `{row.formula}` | {row.kind} | {row.closed_form:.4f} |"
            f" {row.simulated:.4f} | {row.mc_error:.4f} | {gap} |"
        )
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=100_000)
    simulations = parser.parse_args().simulations
    table = table_of(simulations)
    folder = Path(__file__).parent
    table.round(6).to_csv(folder / "power_agreement.csv", index=False)
    (folder / "power_agreement.md").write_text(as_markdown(table, simulations), encoding="utf-8")


if __name__ == "__main__":
    main()
