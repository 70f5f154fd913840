"""Type-I error, coverage and power of each inference method by number of clusters.

    python validation/type_one_error.py [--simulations N]

Wedges of `simulated_wedges.py`, with independent officers, and with incidents that 2.5 officers share. Then
the two settings for which power was simulated with another program. Writes type_one_error.csv,
power_settings.csv and type_one_error.md beside itself; a run that was stopped goes on where it was.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from inference_methods import DRAWS, rejections
from simulated_wedges import Wedge, simulated

HERE = Path(__file__).parent
CLUSTERS = {6: 1, 9: 1, 12: 2, 20: 2, 50: 5}  # number of clusters: how many cross together
OFFICERS = {"independent": 1.0, "shared by 2.5": 2.5}
RATIO = 0.75
AUTO = {True: "CR2, Satterthwaite", False: "CR1, t(G-1)"}  # correction="auto" below 40 clusters, and from 40

# Another program's power at −25 % without a trend, 3,000 and 2,000 simulations.
SETTINGS = {
    "one crossing a month": Wedge(9, trend=0.0),
    "one crossing every second month": Wedge(9, baseline=3, step=2, trend=0.0),
}
ELSEWHERE = {
    ("one crossing a month", "model-based, normal"): 0.374,
    ("one crossing a month", "CR2, Satterthwaite"): 0.282,
    ("one crossing a month", "randomization test"): 0.339,
    ("one crossing every second month", "model-based, normal"): 0.529,
    ("one crossing every second month", "CR2, Satterthwaite"): 0.412,
    ("one crossing every second month", "randomization test"): 0.485,
}


def cell(clusters, officers, simulations):
    """Rows of one number of clusters and one kind of incidents, a row a method."""
    wedge = Wedge(clusters, CLUSTERS[clusters], shared=OFFICERS[officers])
    seed = 1000 * clusters + list(OFFICERS).index(officers)
    size = rates(wedge, 1.0, [1.0], simulations, seed)
    power, missed = rates(wedge, RATIO, [1.0, RATIO], simulations, seed + 500)
    table = pd.DataFrame({"type_one_error": size[0], "coverage": 1 - missed, "power": power})
    table = table.rename_axis("method").reset_index()
    table.insert(1, "default", table["method"].isin(["randomization test", AUTO[clusters < 40]]))
    table.insert(0, "officers", officers)
    table.insert(0, "clusters", clusters)
    return table.assign(simulations=simulations)


def setting(name, simulations):
    """Power and size in one of the settings that another program simulated."""
    size = rates(SETTINGS[name], 1.0, [1.0], simulations, 7)[0]
    power = rates(SETTINGS[name], RATIO, [1.0], simulations, 8)[0]
    rows = pd.DataFrame({"type_one_error": size, "power": power}).rename_axis("method").reset_index()
    rows["elsewhere"] = [ELSEWHERE.get((name, method), np.nan) for method in rows["method"]]
    rows.insert(0, "setting", name)
    return rows.assign(simulations=simulations)


def rates(wedge, true_ratio, ratios, simulations, seed):
    """For each ratio how often each method rejects it, where the true one is `true_ratio`."""

    def course(exposure_time):
        return np.full_like(exposure_time, np.log(true_ratio))

    found = [[] for _ in ratios]
    for trials in simulated(wedge, course, simulations=simulations, draws=DRAWS, seed=seed):
        for place, rejected in zip(found, rejections(trials, np.log(ratios)), strict=True):
            place.append(pd.DataFrame(rejected))
    return [pd.concat(place).mean() for place in found]


def resumed(name, keys, one, simulations):
    """Concatenate one(key, …, simulations) over the keys; those in the unfinished file are not done again."""
    unfinished = HERE / f"{name}.unfinished"
    done = pd.read_csv(unfinished) if unfinished.exists() else pd.DataFrame()
    for number, key in enumerate(keys):
        if len(done) and ((done["cell"] == number) & (done["simulations"] == simulations)).any():
            continue
        rows = one(*key, simulations).assign(cell=number)
        print(rows.to_string(index=False), flush=True)
        done = pd.concat([done, rows], ignore_index=True)
        done.to_csv(unfinished, index=False)
    table = done[done["simulations"] == simulations].sort_values("cell", kind="stable")
    table.drop(columns="cell").to_csv(HERE / f"{name}.csv", index=False, float_format="%.4f")
    unfinished.unlink(missing_ok=True)
    return table


def as_markdown(table, settings, simulations):
    error = np.sqrt(0.05 * 0.95 / simulations)
    lines = [
        "# Type-I error, coverage and power by number of clusters",
        "",
        f"Made by `python validation/type_one_error.py --simulations {simulations}`. Wedges of 24 months and"
        f" 600 officers; level 5 %; coverage and power at a ratio of {RATIO}; {simulations:,} simulations a"
        f" cell (Monte-Carlo sd of a type-I error of 5 %: {error:.3f}). {DRAWS} re-randomizations and"
        " bootstrap"
        f" weights, or all where there are fewer. Bold: what `rct` takes by default: a trial's"
        ' `inference = "randomization"`, and `correction="auto"` where a cluster-robust variance is asked'
        " for. The coverage of the randomization test and of the bootstrap is that of their intervals by"
        " inversion: how often the true ratio is not rejected.",
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
    lines += [
        "",
        "## Power beside another program's",
        "",
        "Nine divisions without a trend, −25 %; the other program simulated 3,000 and 2,000 trials (sd of its"
        f" power .009 and .011), this one {simulations:,} (sd {np.sqrt(0.25 / simulations):.3f} at most).",
        "",
        "| crossings | method | type-I error | power | power elsewhere |",
        "|---|---|---|---|---|",
    ]
    for row in settings.itertuples():
        elsewhere = "" if np.isnan(row.elsewhere) else f"{row.elsewhere:.3f}"
        lines.append(
            f"| {row.setting} | {row.method} | {row.type_one_error:.3f} | {row.power:.3f} | {elsewhere} |"
        )
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=2000)
    simulations = parser.parse_args().simulations
    cells = [(clusters, officers) for clusters in CLUSTERS for officers in OFFICERS]
    table = resumed("type_one_error", cells, cell, simulations)
    settings = resumed("power_settings", [(name,) for name in SETTINGS], setting, simulations)
    text = as_markdown(table, settings, simulations)
    (HERE / "type_one_error.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
