"""Procedural-justice training in Chicago: the published table, and why a usual regression disagrees with it.

    python examples/chicago.py --data chicago_pj_main.parquet --out chicago

Officers were trained cohort after cohort, in random order (Wood, Tyler & Papachristos 2020). Roth &
Sant'Anna (2023) re-analysed the trial with the efficient estimator for randomized timing. This script
computes their table, puts two-way fixed-effects Poisson beside it, and writes a table, a figure and a report.

The file has one row per officer and month: uid, period (1 = January 2011), first_trained (first month after
the officer's training), and the counts complaints, sustained and force.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

import rct

OUTCOMES = {
    "complaints": "Complaints",
    "sustained": "Sustained complaints",
    "force": "Use of force",
}
COLUMNS = ["uid", "period", "first_trained", *OUTCOMES]
BASELINE = (1, 12)
YEARS = 4

# Roth & Sant'Anna 2023, efficient, simple average: estimate, standard error, p-value of 5,000 permutations.
PUBLISHED_OFFICERS = 5537
PUBLISHED = {
    "complaints": (-0.00237496013182326, 0.00228778809219864, 0.3258),
    "sustained": (-0.000678059070114433, 0.000397727839551123, 0.1022),
    "force": (-0.00905912197855445, 0.00379135082502562, 0.0312),
}

GET_THE_DATA = f"""\
The panel is in the public replication package of Roth & Sant'Anna (2023),
https://github.com/pedrohcgs/RS_Staggered_application, which takes it from Wood, Tyler & Papachristos (2020).
The R package `staggered` ships a larger version, 7,785 officers with the pilot and special units:
  data(pj_officer_level_balanced, package = "staggered")
Save it as Parquet with the columns {", ".join(COLUMNS)}
(one row per officer and month; period 1 is January 2011), and give its path with --data."""

WHY = """\
Why they disagree
  In the end every officer is trained. Two-way fixed-effects regression compares the newly trained with
  whoever does not change at that moment, and late in the roll-out that is mostly officers trained before,
  whose own effects are still changing. Where effects grow with time, these forbidden comparisons enter with
  the wrong sign, and the one coefficient of training can point up while every single effect points down.
  The efficient estimator compares with officers not trained yet, and only with them. It may, because the
  order of training was random; their earlier months are used as far as they sharpen the comparison."""


def main(arguments: list[str] | None = None) -> int:
    """Run the example; 0 when it is done, 2 for input that cannot be used."""
    options = _options().parse_args(arguments)
    try:
        trial = rct.load("chicago_procedural_justice")
        panel = read_panel(options.data)
        draws = trial.analysis.draws if options.permutations is None else options.permutations
        results = estimate(panel, permutations=int(draws), seed=int(trial.analysis.seed))
        options.out.mkdir(parents=True, exist_ok=True)
        results.frame.to_csv(options.out / "estimates.csv", index=False)
        draw(results, options.out / "forest.png")
        page = rct.report(trial, results, panel=panel, path=options.out / "report.html")
    except rct.RctError as error:
        print(error, file=sys.stderr)
        return 2
    print(table(panel, results))
    print(WHY)
    print(shares_in_words(shares_by_year(panel)))
    print(f"\nWritten: {options.out / 'estimates.csv'}, {options.out / 'forest.png'}, {page}")
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the panel, as Parquet")
    parser.add_argument("--out", type=Path, default=Path("chicago"), help="folder for what is written")
    parser.add_argument(
        "--permutations", type=int, help="re-assignments of timing for the p-values; 0: normal p-values"
    )
    return parser


def read_panel(path: Path) -> rct.Panel:
    """Read officers × months; the officer was randomized, to the month of training."""
    if not path.is_file():
        raise rct.DataError(f"There is no file {path}.\n{GET_THE_DATA}")
    try:
        frame = pd.read_parquet(path)
    except ValueError as error:
        raise rct.DataError(f"{path} is no Parquet file that can be read: {error}\n{GET_THE_DATA}") from error
    lacking = [column for column in COLUMNS if column not in frame]
    if lacking:
        raise rct.DataError(f"{path} has no column {', '.join(lacking)}.\n{GET_THE_DATA}")
    return rct.Panel.from_frame(
        frame.assign(training="procedural justice"),
        unit="uid",
        period="period",
        outcomes=list(OUTCOMES),
        starts="first_trained",
        arm="training",
    )


def estimate(panel: rct.Panel, *, permutations: int, seed: int) -> rct.Estimates:
    """Give the efficient estimates (p-values adjusted over the outcomes), then the Poisson ones."""
    efficient = [
        rct.frequentist.staggered(
            panel, name, baseline=BASELINE, permutations=permutations, seed=seed if permutations else None
        )
        for name in OUTCOMES
    ]
    two_way = [rct.frequentist.poisson(panel, name, cluster="unit", correction="CR1N") for name in OUTCOMES]
    primary = rct.frequentist.adjust(rct.Estimates(tuple(efficient)), method="holm")
    rows = [*_in_role(primary, "primary"), *_in_role(two_way, "secondary")]
    return rct.Estimates(tuple(rows), meta={"panel_hash": panel.hash, "seed": str(seed)})


def _in_role(rows: "rct.Estimates | list[rct.Estimate]", role: str) -> list[rct.Estimate]:
    return [replace(row, notes={**row.notes, "role": role}) for row in rows]


def table(panel: rct.Panel, results: rct.Estimates) -> str:
    """Set the two estimators side by side, in words and digits."""
    officers, cohorts = panel.frame["unit"].nunique(), panel.frame["starts"].nunique()
    lines = [
        f"{officers:,} officers, {panel.periods} months, {cohorts} training cohorts",
        "",
        "Efficient estimator for randomized timing (Roth & Sant'Anna 2023): events per officer and month,",
        "and percent of the mean of months 1 to 12 with 95 % limits",
        *(_difference_line(results[name].rows[0]) for name in OUTCOMES),
    ]
    if officers == PUBLISHED_OFFICERS:
        lines.append("  As published (p-values from 5,000 other permutations, Monte-Carlo errors to .0066):")
        lines += [f"{_digits(name, *figures)}  p {p:.4f}" for name, (*figures, p) in PUBLISHED.items()]
    else:
        lines.append(f"  (The published table is of {PUBLISHED_OFFICERS:,} district officers of these.)")
    return "\n".join(
        [
            *lines,
            "",
            "Two-way fixed-effects Poisson, standard errors clustered on officers: log rate ratio,",
            "and percent change with 95 % limits",
            *(_ratio_line(results[name].rows[1]) for name in OUTCOMES),
            "",
        ]
    )


def _digits(outcome: str, estimate: float, std_error: float) -> str:
    return f"  {OUTCOMES[outcome]:21}{estimate: .15f}  se {std_error:.15f}"


def _difference_line(row: rct.Estimate) -> str:
    line = f"{_digits(row.outcome, row.estimate, row.std_error)}  {_percent(row)}  p {row.p_value:.4f}"
    if row.null_draws is None:
        return line
    monte_carlo = (row.p_value * (1 - row.p_value) / len(row.null_draws)) ** 0.5
    return f"{line} (Monte-Carlo error {monte_carlo:.4f})"


def _ratio_line(row: rct.Estimate) -> str:
    return f"  {OUTCOMES[row.outcome]:21}{row.estimate: .6f}  se {row.std_error:.6f}  {_percent(row)}"


def _percent(row: rct.Estimate) -> str:
    low, high = row.percent_interval
    return f"{row.percent_change:+6.2f} % ({low:+.2f}, {high:+.2f})"


def shares_by_year(panel: rct.Panel, outcome: str = "force") -> pd.DataFrame:
    """Say what the two-way estimate is made of: a row for each year since training.

    share: weight of the year's effects in the two-way estimate; negative, cells: cohort-months with negative
    weight, and all; effect: mean log ratio by the efficient event study; weighted: share of each month × its
    effect, added up.
    """
    weights = rct.frequentist.two_way_weights(panel, outcome)
    officers = panel.frame.groupby("starts")["unit"].nunique()
    rates = panel.frame.groupby(["starts", "period"])[outcome].mean().rename("rate").reset_index()
    cells = weights.merge(rates).assign(officers=lambda f: f["starts"].map(officers))
    months = range(min(YEARS * 12, int(panel.frame["starts"].max() - panel.frame["starts"].min())))
    study = rct.frequentist.staggered(panel, outcome, aggregate="event", event_times=months)
    effect = pd.Series({int(row.event_time) + 1: row.estimate for row in study})
    seen = cells.assign(events=cells["rate"] * cells["officers"]).groupby("exposure_time")
    rate = seen["events"].sum() / seen["officers"].sum()
    log_ratio = np.log(rate / (rate - effect))
    cells["year"] = (cells["exposure_time"] - 1) // 12 + 1
    by_month = pd.DataFrame({"share": seen["weight"].sum(), "effect": log_ratio}).dropna()
    by_year = by_month.assign(weighted=by_month["share"] * by_month["effect"]).groupby(
        (by_month.index - 1) // 12 + 1
    )
    table = by_year.agg({"share": "sum", "effect": "mean", "weighted": "sum"})
    table["negative"] = (cells["weight"] < 0).groupby(cells["year"]).sum()
    table["cells"] = cells.groupby("year").size()
    return table.rename_axis("year")


def shares_in_words(table: pd.DataFrame) -> str:
    """Print what the two-way estimate of force is made of."""
    lines = [
        "",
        "What the two-way estimate of force is made of",
        "  year since   share of       cohort-months        effect, efficient",
        "  training     the estimate   counted negatively   event study",
    ]
    lines += [
        f"  {year:<11}  {row.share:+.2f}          {row.negative:>4.0f} of {row.cells:<4.0f}"
        f"         {100 * np.expm1(row.effect):+.0f} %"
        for year, row in table.iterrows()
    ]
    shared, plain = table["weighted"].sum(), table["effect"].mean()
    return "\n".join(
        [
            *lines,
            f"  By these shares the effects add up to {100 * np.expm1(shared):+.0f} %; their plain mean is"
            f" {100 * np.expm1(plain):+.0f} %.",
            "  The late and large effects of early cohorts count negatively: what they take away, the",
            "  regression adds. The rest of its distance is chance, and effects that differ between cohorts.",
        ]
    )


def draw(results: rct.Estimates, path: Path) -> None:
    """Draw both estimators for the three outcomes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 3.6), layout="constrained")
    axes = figure.subplots()
    styles = [
        ("efficient, randomized timing", "#0072B2", "s"),
        ("two-way fixed-effects Poisson", "#D55E00", "o"),
    ]
    for place, name in enumerate(OUTCOMES):
        for number, (row, (label, colour, marker)) in enumerate(zip(results[name], styles, strict=True)):
            low, high = row.percent_interval
            height = place + 0.3 * number - 0.15
            axes.plot((low, high), (height, height), color=colour, linewidth=2)
            axes.plot(row.percent_change, height, marker, color=colour, label="" if place else label)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(OUTCOMES)), labels=list(OUTCOMES.values()))
    axes.set_ylim(len(OUTCOMES) - 0.5, -0.5)
    axes.set_xlabel("percent change with training, 95 % limits")
    axes.set_title("Procedural-justice training: the estimator chooses the sign", loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    sys.exit(main())
