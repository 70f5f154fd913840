"""Retrodiction: would the planner have foreseen what two finished trials could see.

    RCT_DATA=FOLDER python validation/retrodiction.py [--simulations N]

Washington DC (Yokum, Ravishankar & Coppock 2019): 1,922 officers, about 6.3 months, 807 force events, gamma
shape .33 as in district 1D; published: about 30 % of the control mean is detectable with power .8. Chicago
(Wood, Tyler & Papachristos 2020; Roth & Sant'Anna 2023): the standard error of the efficient estimator that
placebo trials on the panel's own months predict, beside the one estimated on the real data
(as published: .00379 for force).
RCT_DATA holds chicago_pj_main.parquet; without it that part is left out. Writes retrodiction.md
beside itself.
"""

import argparse
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

import rct
from rct import power
from rct.frequentist.random_timing import BETA
from rct.frequentist.random_timing_variance import fit_timing
from rct.frequentist.timing_contrasts import comparison_shares, contrasts, effect_weights

HERE = Path(__file__).parent
MONTHS, OFFICERS, EVENTS, SHAPE = 6.3, 1922, 807, 0.33

WASHINGTON = f"""
format = 1
name = "Washington DC body-worn cameras"
[units]
randomize = "officer_id"
measure = "officer"
id = "officer_id"
[arms]
control = "no camera"
treatments = ["camera"]
[schedule]
kind = "parallel"
periods = 1
[[outcomes]]
name = "force"
primary = true
[analysis]
primary = "difference_in_means"
inference = "hc2"
seed = 2019
[power]
effects = {{ force = 0.7 }}
rates = {{ force = {EVENTS / OFFICERS} }}
units = {OFFICERS}
heterogeneity = {SHAPE}
"""


def washington(sims: int) -> list[str]:
    """Search the detectable effect in either direction."""
    lines = []
    for direction in ("decrease", "increase"):
        text = WASHINGTON.replace("primary = true", f'primary = true\ndirection = "{direction}"')
        found = power.detectable(rct.Trial.parse(text), sims=sims, precision=0.03).frame.iloc[0]
        low, high = (100 * (found[end] - 1) for end in ("ratio_low", "ratio_high"))
        lines.append(
            f"| Washington DC, {direction} | detectable change with power .8 | "
            f"{found['percent_change']:+.1f} % ({low:+.1f} to {high:+.1f}) | "
            f"± 30 % of the control mean | {found['sims']:,} simulations |"
        )
    return lines


def chicago(sims: int) -> list[str]:
    """Run placebo trials on the real months: the truth is no effect, the variation is what it was.

    Once for the whole panel, as declared, and once read while a tenth of the officers still wait, a rule of
    the cohort sizes alone that was fixed before its figures were seen; two other shares stand beside it.
    """
    months = _chicago_months()
    if months is None:
        return []
    starts = months.drop_duplicates("uid")["first_trained"].to_numpy()
    waiting = (starts[:, None] > np.arange(1, months["period"].max() + 1)).mean(axis=0)
    lines = [
        "",
        WORDS,
        "",
        "| read until month | still waiting | outcome | SE on the real data | mean SE of placebo trials "
        "| 90 % of them | below the real one | within 10 % of their own mean | sd of their estimates | "
        "false positives at .05 |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for share in (0.0, 0.1, 0.05, 0.2):
        last = int(np.flatnonzero(waiting >= share)[-1]) + 1
        still = f"{(starts > last).sum():,} officers"
        lines += [f"| {last} | {still} | {cells} |" for cells in _foreseen(months, starts, last, sims)]
    return [*lines, "", *_contributions(months, starts)]


WORDS = """Chicago: the standard error (SE) of the efficient estimator that placebo trials predict, beside the
one estimated on the real data. Officers are assigned at random to the trial's own cohorts, on the panel's own
counts, and each placebo trial is analysed as the real one; the prediction is the mean of their SEs. This is
what `rct power --resample` simulates. "Within 10 % of their own mean" is the chance that a placebo trial, of
which everything assumed is true, itself meets a target of 10 %."""


def _chicago_months() -> pd.DataFrame | None:
    data = os.environ.get("RCT_DATA")
    file = Path(data or "", "chicago_pj_main.parquet")
    return pd.read_parquet(file) if data and file.exists() else None


def _foreseen(months: pd.DataFrame, starts: np.ndarray, last: int, sims: int) -> Iterator[str]:
    """Give the cells of each outcome when the trial ends with a month and later cohorts stay untrained."""
    declared = tomllib.loads(rct.load("chicago_procedural_justice").to_toml())
    times, sizes = np.unique(starts[starts <= last], return_counts=True)
    schedule = {"periods": last, "starts": times.tolist(), "sizes": sizes.tolist()}
    declared["schedule"] |= schedule | ({"never": True} if sizes.sum() < len(starts) else {})
    declared["analysis"] |= {"inference": "cluster-robust", "secondary": []}
    trial = rct.Trial.model_validate(declared)
    names = [outcome.name for outcome in trial.outcomes]
    panel = rct.Panel.from_frame(
        months[months["period"] <= last],
        unit="uid", period="period", outcomes=names, starts="first_trained",
    )  # fmt: skip
    found = power.simulate(trial, history=panel, resample=True, sims=sims, effects=dict.fromkeys(names, 1.0))
    for name in names:
        real = rct.frequentist.staggered(panel, name, aggregate="simple").std_error
        own = found.replicates[found.replicates["outcome"] == name]
        errors, spread = own["std_error"], own["estimate"].std()
        low, high = errors.quantile([0.05, 0.95])
        near = ((errors.mean() / errors - 1).abs() <= 0.1).mean()
        false = found.frame.set_index("outcome").loc[name, "power"]
        yield (
            f"{name} | {real:.5f} | {errors.mean():.5f} ({100 * (errors.mean() / real - 1):+.1f} %) | "
            f"{low:.5f} to {high:.5f} | {100 * (errors < real).mean():.0f} % | {100 * near:.0f} % | "
            f"{spread:.5f} ({100 * (spread / real - 1):+.1f} %) | {false:.3f}"
        )


def _contributions(months: pd.DataFrame, starts: np.ndarray) -> list[str]:
    """Say which cohorts carry the variance of the whole panel's estimate, in the real data and by chance."""
    times, sizes = np.unique(starts, return_counts=True)
    lines = [
        "Share of the real estimate's conservative variance (whole panel) that its two largest contributors "
        "carry, and what the same cohorts carry in 200 placebo trials, as a share of the same total:",
        "",
        "| outcome | first month in training | officers | real | placebo trials, mean and sd |",
        "|---|---|---|---|---|",
    ]
    for name in ("complaints", "sustained", "force"):
        rng = np.random.default_rng(2021)
        counts = _counts(months, name)
        real = _by_cohort(counts, starts)
        drawn = np.array([_by_cohort(counts, rng.permutation(starts)) for _ in range(200)]) / real.sum()
        for g in np.argsort(-real)[:2]:
            lines.append(
                f"| {name} | {times[g]} | {sizes[g]} | {100 * real[g] / real.sum():.0f} % | "
                f"{100 * drawn[:, g].mean():.0f} % ± {100 * drawn[:, g].std():.0f} |"
            )
    return lines


def _by_cohort(counts: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Give each cohort's part of the conservative (Neyman) variance at the efficient beta."""
    times, sizes = np.unique(starts, return_counts=True)
    theta, zero = _contrasts(times, sizes, counts.shape[1])
    ordered = counts[np.argsort(starts, kind="stable")]
    beta = fit_timing(ordered, sizes, times, theta, zero, BETA["efficient"]).beta
    used = (theta - beta * zero)[np.repeat(np.arange(len(times)), sizes)]
    of_cohort = np.split((ordered * used).sum(axis=1), np.cumsum(sizes)[:-1])
    return np.array([values.var(ddof=1) / len(values) for values in of_cohort])


def _contrasts(times: np.ndarray, sizes: np.ndarray, periods: int) -> tuple[np.ndarray, np.ndarray]:
    weights = effect_weights(times, sizes, periods, "simple")
    return contrasts(times, weights, comparison_shares(times, sizes, periods, last_only=False))


def _counts(months: pd.DataFrame, name: str) -> np.ndarray:
    """Officers × months, officers as they first appear."""
    wide = months.pivot(index="uid", columns="period", values=name)
    return wide.reindex(months["uid"].drop_duplicates()).to_numpy(dtype=float)


def cohorts(sims: int) -> list[str]:
    """Ask whether what real classes are explains it: placebo trials that keep more and more of them."""
    months = _chicago_months()
    if months is None:
        return []
    officers = months.drop_duplicates("uid").set_index("uid")
    starts = officers["first_trained"].to_numpy()
    times, cohort = np.unique(starts, return_inverse=True)
    lines = []
    for name in ("complaints", "sustained", "force"):
        rng = np.random.default_rng(2020)
        counts = _counts(months, name)
        earlier = counts[:, : starts.min() - 1].sum(axis=1)
        real = _standard_error(counts, starts)
        few = np.minimum(earlier, 3).astype(int)
        strata = pd.factorize(officers["unit"].astype(str) + [f"/{number}" for number in few])[0]
        everyone, alone = np.zeros(len(starts), dtype=int), np.arange(len(times))
        spread = _between(earlier, cohort)
        drawn = np.array([_between(earlier, rng.permutation(cohort)) for _ in range(999)])
        p = (1 + (drawn >= spread).sum()) / 1000
        cells = []
        for groups in (everyone, strata, None):
            errors = np.array(
                [
                    _standard_error(
                        counts,
                        times[rng.permutation(alone)][cohort]
                        if groups is None
                        else _within(rng, starts, groups),
                    )
                    for _ in range(sims)
                ]
            )
            cells.append(f"{100 * (errors.mean() / real - 1):+.1f} % ({100 * (errors < real).mean():.0f} %)")
        lines.append(f"| {name} | {spread / drawn.mean():.2f} (p = {p:.3f}) | {' | '.join(cells)} |")
    return [
        "",
        "Mean standard error of placebo trials against the real data's (and the share of them below it), by "
        "what is permuted; and how much officers' events before anyone was trained vary between the real "
        f"cohorts, relative to cohorts drawn at random ({sims} placebo trials each).",
        "",
        "| outcome | between cohorts | officers among all "
        "| officers of one unit and earlier count (0, 1, 2, 3+) | whole cohorts, times alone |",
        "|---|---|---|---|---|",
        *lines,
    ]


def _between(values: np.ndarray, cohort: np.ndarray) -> float:
    sizes = np.bincount(cohort)
    return float(((np.bincount(cohort, values) - sizes * values.mean()) ** 2 / sizes).sum())


def _within(rng: np.random.Generator, starts: np.ndarray, strata: np.ndarray) -> np.ndarray:
    permuted = starts.copy()
    for stratum in np.unique(strata):
        places = np.flatnonzero(strata == stratum)
        permuted[places] = starts[rng.permutation(places)]
    return permuted


def _standard_error(counts: np.ndarray, starts: np.ndarray) -> float:
    times, sizes = np.unique(starts, return_counts=True)
    theta, zero = _contrasts(times, sizes, counts.shape[1])
    ordered = counts[np.argsort(starts, kind="stable")]
    return float(fit_timing(ordered, sizes, times, theta, zero, BETA["efficient"]).std_error)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=512)
    sims = parser.parse_args().simulations
    head = [
        "# Retrodiction: what two finished trials could see",
        "",
        f"Made by `python validation/retrodiction.py --simulations {sims}`.",
        "",
        "| trial | quantity | simulated | known | of |",
        "|---|---|---|---|---|",
    ]
    lines: list[str] = []
    for part in (washington, chicago, cohorts):
        lines += part(sims)
        (HERE / "retrodiction.md").write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
