"""The joint model on Louisville-like wedges, beside three separate fits, and the probability that all fell.

    python validation/joint_model.py --fixed 100 --prior 200

Nine divisions, 600 officers, 24 months, simulated by `rct.simulate` from the shipped trial. With `fixed`
truth (.72, .74, .64) both models are fitted and their 95 % intervals compared; with truths from the joint
model's prior the posterior probability that all three rates fell is compared with how often they did. Truths
that no incident can have (more injuries than incidents) are drawn again. Fits are kept whatever their
diagnostics; the script goes on where it stopped.
"""

import argparse
import csv
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import rct
from rct.bayesian.count_rows import count_rows
from rct.bayesian.density import officer_density
from rct.bayesian.fitting import MODELS, model_inputs, model_priors
from rct.bayesian.sampling import Settings, diagnose, draw

HERE = Path(__file__).parent
SEED = 20261128
OUTCOMES = ("force", "citizen_injury", "officer_injury")
FIXED = dict(zip(OUTCOMES, (0.72, 0.74, 0.64), strict=True))
COLUMNS = (
    "truth",
    "number",
    "model",
    "outcome",
    "log_ratio",
    "mean",
    "low",
    "high",
    "all_fell",
    "p_all_fell",
    "rhat",
    "divergences",
)


def ratios(truth: str, rng: np.random.Generator) -> dict[str, float]:
    if truth == "fixed":
        return FIXED
    force, given = rng.normal(0, 0.5), rng.normal(0, 0.3, 2)
    return dict(zip(OUTCOMES, np.exp([force, *(force + given)]).tolist(), strict=True))


def panel_of(truth: str, number: int) -> tuple[rct.Panel, dict[str, float]]:
    rng = np.random.default_rng(np.random.SeedSequence(SEED, spawn_key=(zlib.crc32(truth.encode()), number)))
    trial = rct.load("louisville_icat")
    roster = pd.DataFrame({"officer_id": [f"o{i:03d}" for i in range(600)]})
    roster["division"] = [f"d{i % 9}" for i in range(600)]
    allocation = rct.randomize(trial, roster, seed=f"{truth} {number}")
    while True:
        effects = ratios(truth, rng)
        try:
            return rct.simulate(trial, allocation, effects=effects, seed=number), effects
        except rct.TrialError:
            continue


def fitted(panel: rct.Panel, model: str, seed: int) -> tuple[np.ndarray, float, int]:
    chosen = MODELS[model]
    rows = chosen.prepare(count_rows(panel, list(OUTCOMES)))
    inputs = model_inputs(chosen, rows, model_priors(chosen, rows, None))
    density = officer_density(inputs)
    groups = draw(density, density.known(chosen.kept), Settings(500, 500, 2, seed, progress=False), 0.9)
    effect = groups["posterior"]["effect"]
    verdict = diagnose(groups["posterior"][["effect"]], groups["sample_stats"], ["effect"])
    return effect.to_numpy().reshape(-1, len(OUTCOMES)), verdict["rhat"]["effect"], verdict["divergences"]


def one(truth: str, number: int) -> list[dict[str, Any]]:
    panel, effects = panel_of(truth, number)
    log_ratio = np.log([effects[name] for name in OUTCOMES])
    found = []
    for model in ("joint", "marginal") if truth == "fixed" else ("joint",):
        draws, rhat, divergences = fitted(panel, model, number + 1)
        low, high = np.quantile(draws, [0.025, 0.975], axis=0)
        shared = {
            "truth": truth,
            "number": number,
            "model": model,
            "all_fell": int((log_ratio < 0).all()),
            "p_all_fell": (draws < 0).all(axis=1).mean(),
            "rhat": rhat,
            "divergences": divergences,
        }
        found += [
            shared
            | {
                "outcome": name,
                "log_ratio": log_ratio[k],
                "mean": draws[:, k].mean(),
                "low": low[k],
                "high": high[k],
            }
            for k, name in enumerate(OUTCOMES)
        ]
    return found


def intervals(fits: pd.DataFrame) -> pd.DataFrame:
    fixed = fits.assign(
        width=fits["high"] - fits["low"],
        inside=(fits["low"] < fits["log_ratio"]) & (fits["log_ratio"] < fits["high"]),
    )
    table = fixed.groupby(["truth", "outcome", "model"], as_index=False).agg(
        fits=("number", "size"), coverage=("inside", "mean"), width=("width", "mean"), mean=("mean", "mean")
    )
    table["coverage_sd"] = np.sqrt(0.95 * 0.05 / table["fits"])
    separate = table[table["model"] == "marginal"].set_index("outcome")["width"]
    against = table["width"] / table["outcome"].map(separate)
    table["width_against_separate"] = against.where(table["truth"] == "fixed").round(3).astype(object)
    return table.round(3).fillna("")


def calibration(fits: pd.DataFrame) -> pd.DataFrame:
    each = fits[(fits["truth"] == "prior") & (fits["outcome"] == "force")]
    bands = pd.cut(each["p_all_fell"], [0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 1], include_lowest=True)
    table = each.groupby(bands, observed=True).agg(
        fits=("number", "size"),
        stated=("p_all_fell", "mean"),
        happened=("all_fell", "mean"),
        expected_sd=("p_all_fell", lambda p: np.sqrt((p * (1 - p)).sum()) / len(p)),
    )
    table.index = table.index.astype(str)
    z = (each["all_fell"] - each["p_all_fell"]).sum() / np.sqrt(
        (each["p_all_fell"] * (1 - each["p_all_fell"])).sum()
    )
    return table.reset_index(names="stated probability").assign(z_of_all=z).round(3)


def markdown(table: pd.DataFrame) -> list[str]:
    lines = ["| " + " | ".join(table.columns) + " |", "|" + "---|" * len(table.columns)]
    return [*lines, *("| " + " | ".join(map(str, row)) + " |" for row in table.itertuples(index=False))]


def write_summary(kept: Path) -> None:
    fits = pd.read_csv(kept)
    simulated = fits.groupby("truth")["number"].nunique().reindex(["fixed", "prior"], fill_value=0)
    failed = fits[fits["rhat"] > 1.02].drop_duplicates(["truth", "number", "model"])
    lines = [
        "# The joint model on Louisville-like wedges",
        "",
        "Made by `python validation/joint_model.py`. 9 divisions, 600 officers, 24 months; default priors, "
        f"2 chains × 500 draws. {simulated['fixed']} simulations with rate ratios .72, .74, .64 (`fixed`), "
        f"{simulated['prior']} of truths from the prior. Fits with an R-hat of the effects above 1.02: "
        f"{len(failed)}; they are kept. `coverage_sd`, `expected_sd`: Monte-Carlo standard deviations. "
        "`z_of_all`: how often all fell less the sum of the stated probabilities, in standard deviations.",
        "",
        "## Intervals of 95 %",
        "",
        *markdown(intervals(fits)),
        "",
    ]
    if (fits["truth"] == "prior").any():
        lines += ["## Probability that all three rates fell", "", *markdown(calibration(fits)), ""]
    (HERE / "joint_model.md").write_text("\n".join(lines), "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fixed", type=int, default=100, help="simulations of the fixed truth")
    parser.add_argument("--prior", type=int, default=200, help="simulations of truths from the prior")
    parser.add_argument("--kept", type=Path, default=HERE / "joint_model_fits.csv")
    options = parser.parse_args()
    if not options.kept.exists():
        options.kept.write_text(",".join(COLUMNS) + "\n", "utf-8")
    done = {tuple(row) for row in pd.read_csv(options.kept)[["truth", "number"]].itertuples(index=False)}
    # Both kinds advance together, so that a run that is cut short has of each.
    wanted = {"fixed": options.fixed, "prior": options.prior}
    todo = sorted((number / size, truth, number) for truth, size in wanted.items() for number in range(size))
    for _, truth, number in todo:
        if (truth, number) not in done:
            rows = one(truth, number)
            with options.kept.open("a", newline="") as file:
                csv.DictWriter(file, COLUMNS).writerows(rows)
    write_summary(options.kept)


if __name__ == "__main__":
    main()
