"""Placebo allocations on real records: what the primary analysis rejects, and what it finds.

    python validation/placebo_allocations.py --data FOLDER [--allocations N] [--records NAME …]

FOLDER holds chicago_pj_main.parquet (officer-months of Roth & Sant'Anna's replication package, see
examples/chicago.py), dallas/ (see examples/dallas_placebo.py) and
new_jersey/use_of_force_2020-10_2024-10.parquet (the statewide portal as the R package njoaguof has it, a
row a report). Whoever was trained when is drawn again and again as the trial would have drawn it, so
nothing has an effect; then a quarter of the treated incidents is deleted at random. Writes
placebo_allocations.csv and .md beside itself.
"""

import argparse
import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
from inference_methods import NORMAL
from scipy.special import stdtrit

from rct.frequentist.inference.score_randomization import score_p_values
from rct.frequentist.random_timing_variance import fit_timing, permutation_p_value, permuted_statistics
from rct.frequentist.replicate_fits import exposure_time_design, fit_batch
from rct.frequentist.timing_contrasts import comparison_shares, contrasts, effect_weights
from rct.frequentist.totals_fit import fit_totals

HERE = Path(__file__).parent
KEPT = 0.75
CHICAGO_PLANTED, CHICAGO_DRAWS, PLANTED_DRAWS = 50, 999, 99  # a draw takes a hundredth s
CHUNK = 50


def chicago(folder, number):
    """Officers × months; efficient estimator, studentized permutation test."""
    frame = pd.read_parquet(folder / "chicago_pj_main.parquet").sort_values(["uid", "period"])
    officers, months = frame["uid"].nunique(), int(frame["period"].max())
    starts = np.sort(frame["first_trained"].to_numpy().reshape(officers, months)[:, 0])
    for outcome in ("force", "complaints", "sustained"):
        counts = frame[outcome].to_numpy().reshape(officers, months).astype(float)
        null = timing_draws(counts, starts, CHICAGO_DRAWS, seed=1)
        for planted, most in ((False, number), (True, min(number, CHICAGO_PLANTED))):
            rows = [timed(counts, starts, i, None if planted else null) for i in range(most)]
            name = "efficient (randomized timing), permutation test"
            yield summary("Chicago", outcome, name, planted, rows, 0 if planted else CHICAGO_DRAWS)


def timed(counts, starts, placebo, null):
    """Truth, estimate, margin and p-value where timing is drawn again.

    counts : (units, periods)
    starts : (units,) first treated period, ascending; `counts` is shuffled against them
    null : studentized estimates under permutation of `counts`: without an effect their distribution is the
        same whoever was treated when, so all placebos share them. None: thin the treated counts, and
        permute each thinned panel by itself.
    """
    rng = np.random.default_rng([2011, placebo])
    own, truth = counts[rng.permutation(len(counts))], 0.0
    if null is None:
        treated = np.arange(1, counts.shape[1] + 1) >= starts[:, None]
        weights = _timing_design(starts, counts.shape[1])[-1]
        truth = float((KEPT - 1) * (weights * own).sum())
        own = np.where(treated, rng.binomial(own.astype(int), KEPT), own)
        null = timing_draws(own, starts, PLANTED_DRAWS, seed=placebo)
    fit = fit_timing(own, *_timing_design(starts, counts.shape[1])[:-1])
    p_value = permutation_p_value(fit.estimate / fit.std_error, null)
    return truth, fit.estimate, NORMAL * fit.std_error, p_value


def timing_draws(counts, starts, permutations, seed):
    """Studentized estimates (permutations,) with the timing of one block permuted."""
    design = _timing_design(starts, counts.shape[1])[:-1]
    one_block = np.zeros(len(counts), dtype=np.intp)
    return permuted_statistics(counts, one_block, *design, permutations=permutations, seed=seed)


def _timing_design(starts, periods):
    """Arguments of `fit_timing` behind the outcomes, and weights (units, periods) of unit effects."""
    first, sizes = np.unique(starts, return_counts=True)
    weights = effect_weights(first, sizes, periods, "simple")
    theta, zero = contrasts(first, weights, comparison_shares(first, sizes, periods, last_only=False))
    return sizes, first, theta, zero, None, np.repeat(weights / sizes[:, None], sizes, axis=0)


def dallas(folder, number):
    """Divisions × months, one crossing every half-year; mean over exposure times 1–12, exact score test."""
    example = _example("dallas_placebo")
    found = example.incidents(pd.concat(example.read_years(folder / "dallas").values()))
    division = pd.Index(example.DIVISIONS).get_indexer(found["division"])
    period = found["period"].to_numpy() - 1
    shape = (len(example.DIVISIONS), example.PERIODS)
    starts = 13 + 6 * np.arange(shape[0])
    dose = (np.arange(1, shape[1] + 1) >= starts[:, None]).astype(float)
    orders = np.array(_permutations(shape[0]))
    window = np.where(np.arange(shape[1] - starts[0] + 1) < 12, 1 / 12, 0.0)
    for outcome in example.OUTCOMES:
        persons = found[outcome].to_numpy(dtype=float)
        for planted in (False, True):
            rows = []
            for chunk in _chunks(number):
                followed = np.array([np.random.default_rng([2014, i]).permutation(shape[0]) for i in chunk])
                counts = np.empty((len(chunk), *shape))
                for place, i in enumerate(chunk):
                    treated = dose[followed[place]][division, period] > 0
                    chance = np.random.default_rng([2014, i, 1]).random(len(found))
                    lost = treated & (chance >= KEPT) & planted
                    cell = division * shape[1] + period
                    counts[place] = np.bincount(cell, persons * ~lost, shape[0] * shape[1]).reshape(shape)
                fits = fit_batch(counts, exposure_time_design(starts[followed], dose[followed]), window)
                p_values = score_p_values(counts, dose, followed, orders, exact=True)
                margin = stdtrit(fits.df, 0.975) * fits.std_error
                truth = np.full(len(chunk), np.log(KEPT) if planted else 0.0)
                rows += list(zip(truth, fits.estimate, margin, p_values, strict=True))
            name = "Poisson, mean over exposure times 1–12; re-randomization test"
            yield summary("Dallas", outcome, name, planted, rows)


def new_jersey(folder, number, draws=999):
    """Agencies × months in eight cohorts; Poisson, clustered on agencies, and the score test beside it."""
    records = pd.read_parquet(folder / "new_jersey" / "use_of_force_2020-10_2024-10.parquet")
    first = records.drop_duplicates(["AgencyName", "IncidentID"])
    date = pd.to_datetime(first["IncidentDate"], errors="coerce")
    month = (date.dt.year - 2021) * 12 + date.dt.month
    counts = pd.crosstab(first["AgencyName"], month[month.between(1, 45)]).to_numpy().astype(float)
    agencies, months = counts.shape
    starts = np.arange(10, 34, 3)
    dose = (np.arange(1, months + 1) >= starts[:, None]).astype(float)
    cohort = np.arange(agencies) % len(starts)
    rng = np.random.default_rng(2021)
    redrawn = np.array([rng.permutation(cohort) for _ in range(draws)])
    probabilities = np.tile(np.bincount(cohort) / agencies, (agencies, 1))
    blocks, t = np.zeros(agencies, dtype=np.int64), stdtrit(agencies - 1, 0.975)
    for planted in (False, True):
        clustered, tested = [], []
        for chunk in _chunks(number):
            followed = np.array([np.random.default_rng([2022, i]).permutation(cohort) for i in chunk])
            own = np.broadcast_to(counts, (len(chunk), agencies, months))
            if planted:
                thin = np.random.default_rng([2023, chunk[0]]).binomial(own.astype(int), KEPT)
                own = np.where(dose[followed] > 0, thin, own)
            p_values = score_p_values(own, dose, followed, redrawn, probabilities=probabilities)
            truth = np.log(KEPT) if planted else 0.0
            for y, sequence, p_value in zip(own, followed, p_values, strict=True):
                estimate, std_error, _ = fit_totals(y, dose[sequence], blocks)
                row = (truth, estimate, t * std_error)
                clustered.append((*row, 0.0 if abs(estimate) > t * std_error else 1.0))
                tested.append((*row, p_value))
        yield summary("New Jersey", "force", "Poisson; CR1 clustered on agencies", planted, clustered)
        shared = 0 if planted else draws
        yield summary("New Jersey", "force", "Poisson; re-randomization test", planted, tested, shared)


def summary(place, outcome, analysis, planted, rows, shared_draws=0):
    """Rejection rate, and how the estimates lie about the truth.

    shared_draws : draws of the null distribution that all placebos are held against, whose chance adds to
        that of the placebos; 0 where each has its own or all are enumerated
    """
    truth, estimate, margin, p_value = np.array(rows).T
    known = np.isfinite(estimate)
    return {
        "place": place, "outcome": outcome, "analysis": analysis,
        "effect": f"{100 * (KEPT - 1):.0f} % planted" if planted else "none",
        "rejected": (p_value <= 0.05).mean(), "truth": truth[known].mean(), "mean": estimate[known].mean(),
        "sd": estimate[known].std(), "coverage": (np.abs(estimate - truth) <= margin)[known].mean(),
        "allocations": len(rows), "shared_draws": shared_draws,
    }  # fmt: skip


def _example(name):
    path = HERE.parent / "examples" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _permutations(n):
    if n == 0:
        return [[]]
    return [[*rest[:i], n - 1, *rest[i:]] for rest in _permutations(n - 1) for i in range(n)]


def _chunks(number):
    return [list(range(first, min(first + CHUNK, number))) for first in range(0, number, CHUNK)]


def as_markdown(table, number):
    lines = [
        "# Placebo allocations on real records",
        "",
        f"Made by `python validation/placebo_allocations.py --data FOLDER --allocations {number}`."
        " Nobody was trained"
        " when these allocations say, so 5 % of the tests should reject; then a quarter of the"
        " treated incidents"
        " is deleted at random, and the analysis should find it. Chicago: 5,537 officers × 72"
        " months, estimates"
        " in events per officer and month; Dallas: 7 divisions × 60 months, and New Jersey: agencies × 45"
        " months in eight cohorts, log rate ratios (ln .75 = −.288). Coverage: of the 95 % interval of the"
        " estimate. MC sd counts the allocations and, where all of them are held against the same draws of"
        " the null distribution, those draws too.",
        "",
        "| records | outcome | analysis | effect | rejected (MC sd) | truth | mean estimate | sd | coverage |"
        " allocations |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in table.itertuples():
        chance = 0.05 if row.effect == "none" else row.rejected
        digits = 5 if row.place == "Chicago" else 3
        chances = 1 / row.allocations + (1 / row.shared_draws if row.shared_draws else 0)
        error = np.sqrt(chance * (1 - chance) * chances)
        figures = " | ".join(f"{x:.{digits}f}" for x in (row.truth, row.mean, row.sd))
        lines.append(
            f"| {row.place} | {row.outcome} | {row.analysis} | {row.effect}"
            f" | {row.rejected:.3f} ({error:.3f}) | {figures} | {row.coverage:.3f} | {row.allocations} |"
        )
    return "\n".join(lines) + "\n"


STUDIES = {
    "dallas": ("Dallas", dallas),
    "new_jersey": ("New Jersey", new_jersey),
    "chicago": ("Chicago", chicago),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--allocations", type=int, default=1000)
    parser.add_argument("--records", nargs="+", choices=sorted(STUDIES), default=list(STUDIES))
    options = parser.parse_args()
    path = HERE / "placebo_allocations.csv"
    made = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=["place"])
    others = made[~made["place"].isin([STUDIES[name][0] for name in options.records])]
    rows = others.to_dict("records")
    for study in (STUDIES[name][1] for name in options.records):
        for row in study(options.data, options.allocations):
            rows.append(row)
            print(row, flush=True)
            pd.DataFrame(rows).to_csv(path, index=False, float_format="%.6f")
    table = pd.DataFrame(rows)
    (HERE / "placebo_allocations.md").write_text(as_markdown(table, options.allocations), encoding="utf-8")


if __name__ == "__main__":
    main()
