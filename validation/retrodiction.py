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
    """Run placebo trials on the real months: the truth is no effect, the variation is what it was."""
    data = os.environ.get("RCT_DATA")
    file = Path(data or "", "chicago_pj_main.parquet")
    if not data or not file.exists():
        return []
    text = rct.load("chicago_procedural_justice").to_toml()
    start, end = text.index("secondary = ["), text.index("alpha = ")
    text = (text[:start] + text[end:]).replace('inference = "randomization"', 'inference = "cluster-robust"')
    trial = rct.Trial.parse(text)
    names = [outcome.name for outcome in trial.outcomes]
    panel = rct.Panel.from_frame(
        pd.read_parquet(file), unit="uid", period="period", outcomes=names, starts="first_trained"
    )
    found = power.simulate(trial, history=panel, resample=True, sims=sims, effects=dict.fromkeys(names, 1.0))
    lines = []
    for name in names:
        real = rct.frequentist.staggered(panel, name, aggregate="simple").std_error
        own = found.replicates[found.replicates["outcome"] == name]
        errors, spread = own["std_error"], own["estimate"].std()
        low, high = errors.quantile([0.05, 0.95])
        below = 100 * (errors < real).mean()
        false = found.frame.set_index("outcome").loc[name, "power"]
        lines += [
            f"| Chicago, {name} | mean standard error of the efficient estimator | {errors.mean():.5f} "
            f"({100 * (errors.mean() / real - 1):+.1f} %; 90 % of placebo trials: {low:.5f} to {high:.5f}) | "
            f"{real:.5f} on the real data, larger than in {below:.0f} % of them | {sims:,} placebo trials |",
            f"| Chicago, {name} | spread of the placebo trials' estimates | {spread:.5f} "
            f"({100 * (spread / real - 1):+.1f} %) | {real:.5f} | ± {100 / (2 * sims) ** 0.5:.1f} % |",
            f"| Chicago, {name} | false positives of the normal test at .05 | {false:.3f} | .05 | ± "
            f"{(false * (1 - false) / sims) ** 0.5:.3f} |",
        ]
    return lines


def cohorts(sims: int) -> list[str]:
    """Ask whether what real classes are explains it: placebo trials that keep more and more of them."""
    data = os.environ.get("RCT_DATA")
    file = Path(data or "", "chicago_pj_main.parquet")
    if not data or not file.exists():
        return []
    months = pd.read_parquet(file)
    officers = months.drop_duplicates("uid").set_index("uid")
    starts = officers["first_trained"].to_numpy()
    times, cohort = np.unique(starts, return_inverse=True)
    lines = []
    for name in ("complaints", "sustained", "force"):
        rng = np.random.default_rng(2020)
        counts = months.pivot(index="uid", columns="period", values=name).reindex(officers.index)
        earlier = counts.loc[:, : starts.min() - 1].sum(axis=1).to_numpy()
        counts = counts.to_numpy(dtype=float)
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
    weights = effect_weights(times, sizes, counts.shape[1], "simple")
    shares = comparison_shares(times, sizes, counts.shape[1], last_only=False)
    theta, zero = contrasts(times, weights, shares)
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
