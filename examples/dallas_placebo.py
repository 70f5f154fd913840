"""Dallas: what a stepped-wedge trial of the seven patrol divisions would have been able to detect.

    python examples/dallas_placebo.py --data dallas --out dallas

Nothing was randomized in Dallas, and that is the point: divisions are allocated at random after the fact, to
a training that never took place, and the trial is analysed as if it were real. Over many such placebo trials
a sound test finds an "effect" in one of twenty, and the spread of the estimates says how large a true effect
would have to be. Then a quarter of the incidents in "trained" months is deleted, and the test has to notice.

Counting rule: an incident is a FILENUM and belongs to the division and month of its first row; a report is a
row; injured persons are counted once an incident, citizens by CitNum, officers by badge. (In 2014 a cell may
hold several CitNum: it counts as one person, since it does not say who of them was injured.)

There is no roster: officers who never used force are not in these files, so rates per officer computed from
them would be inflated. Divisions are measured instead.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

import rct

TRIAL = """\
format = 1
name = "Dallas placebo wedge"
question = "What does a stepped wedge of the seven divisions find when nobody was trained?"
sources = ["Dallas Police Department, Response to Resistance 2014-2018 (open data)"]

[units]
randomize = "division"
measure = "division"
id = "division"

[arms]
control = "before"
treatments = ["placebo"]

[schedule]
kind = "stepped-wedge"
start = 2014-01-01
period = "month"
periods = 60
baseline = 12
step = 6

[records]
incident = "incident"
officer = "badge"
unit = "division"
date = "date"
date_format = ["%m/%d/%Y", "%m/%d/%Y %I:%M:%S %p"]

[[outcomes]]
name = "force"
label = "Incidents with force"
primary = true

[[outcomes]]
name = "citizen_injury"
label = "Citizens injured"
unit_of_count = "person"
person = "citizen"
where = "citizen_injured in ('Yes', 'true')"
within = "force"

[[outcomes]]
name = "officer_injury"
label = "Officers injured"
unit_of_count = "person"
person = "badge"
where = "officer_injured in ('Yes', 'true')"
within = "force"

[analysis]
primary = { estimator = "poisson", effect = "exposure-time", average = [1, 12] }
secondary = [{ estimator = "poisson", effect = "constant" }]
inference = "randomization"
draws = "exact"
"""
OUTCOMES = ["force", "citizen_injury", "officer_injury"]
DIVISIONS = [
    "CENTRAL", "NORTH CENTRAL", "NORTHEAST", "NORTHWEST", "SOUTH CENTRAL", "SOUTHEAST", "SOUTHWEST",
]  # fmt: skip

# What a column is called here, and what it was called from year to year.
COLUMNS = {
    "incident": ["FILENUM"],
    "date": ["OCCURRED_D", "OCCURRED_DT"],
    "division": ["DIVISION"],
    "badge": ["CURRENT_BA", "CURRENT_BADGE_NO", "CURRENT_BAxx"],
    "officer_injured": ["OFF_INJURE", "OFF_INJURED"],
    "citizen": ["CitNum"],
    "citizen_injured": ["CIT_INJURE", "CIT_INJURED"],
}
NOBODY = "0"  # what some years write where they do not know who it was
YES = ["Yes", "true"]
PERIODS = 60
KEPT = 0.75  # share of incidents that the planted effect leaves

GET_THE_DATA = """\
Dallas publishes one file a year as "Police Response to Resistance" (https://www.dallasopendata.com); those of
2014 to 2018 are mirrored in https://github.com/BloomTech-Labs/human-rights-first-ds-d. Put them into one
folder as response_to_resistance_2014.csv and so on, unchanged, and give the folder with --data."""


def main(arguments: list[str] | None = None) -> int:
    """Run the example; 0 when it is done, 2 for input that cannot be used."""
    options = _options().parse_args(arguments)
    try:
        years = read_years(options.data)
        trial, allocation, panel = placebo_trial(years, options.out, seed=options.seed)
        print(described(panel))
        results = rct.estimate(trial, panel, allocation=allocation)
        page = rct.report(
            trial, results, panel=panel, allocation=allocation, path=options.out / "report.html"
        )
        found = incidents(pd.concat(years.values()))
        placebos = many_placebos(
            trial, allocation.roster, found, number=options.allocations, seed=options.seed
        )
    except rct.RctError as error:
        print(error, file=sys.stderr)
        return 2
    placebos.to_csv(options.out / "placebos.csv", index=False)
    print("\nOne placebo trial\n" + one_line_each(results))
    print("\n" + verdict(placebos))
    print(f"\nWritten: {page}, {options.out / 'placebos.csv'}")
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the yearly files")
    parser.add_argument("--out", type=Path, default=Path("dallas"), help="folder for what is written")
    parser.add_argument("--allocations", type=int, default=200, help="number of placebo trials")
    parser.add_argument("--seed", type=int, default=2014, help="of the allocations and of what is thinned")
    return parser


def read_years(folder: Path) -> dict[str, pd.DataFrame]:
    """Read the yearly files as text, row for row, under the names of COLUMNS."""
    paths = sorted(folder.glob("response_to_resistance_*.csv"))
    if not paths:
        raise rct.DataError(f"There is no response_to_resistance_YYYY.csv in {folder}.\n{GET_THE_DATA}")
    return {path.name: _renamed(path) for path in paths}


def _renamed(path: Path) -> pd.DataFrame:
    frame = pd.read_csv(path, dtype=str, keep_default_na=False, skip_blank_lines=False)
    found = {name: [old for old in olds if old in frame] for name, olds in COLUMNS.items()}
    lacking = [" or ".join(COLUMNS[name]) for name, olds in found.items() if not olds]
    if lacking:
        raise rct.DataError(f"{path} has no column {', '.join(lacking)}.\n{GET_THE_DATA}")
    named = frame.rename(columns={olds[0]: name for name, olds in found.items()})
    trimmed = named.apply(lambda column: column.str.strip())
    return trimmed.replace({"badge": NOBODY, "citizen": NOBODY}, "")


def placebo_trial(
    years: dict[str, pd.DataFrame], out: Path, *, seed: int
) -> tuple[rct.Trial, rct.Allocation, rct.Panel]:
    """Declare the trial, randomize the divisions, and count what the records say."""
    renamed = out / "records"
    renamed.mkdir(parents=True, exist_ok=True)
    for name, frame in years.items():
        frame.to_csv(renamed / name, index=False)
    (out / "trial.toml").write_text(TRIAL, encoding="utf-8")
    trial = rct.load(out / "trial.toml")
    roster = pd.DataFrame({"division": DIVISIONS})
    allocation = rct.randomize(trial, roster, seed=f"placebo {seed}")
    files = [renamed / name for name in years]
    return trial, allocation, rct.build_panel(trial, allocation, roster=roster, incidents=files)


def incidents(records: pd.DataFrame) -> pd.DataFrame:
    """Count by incident what the panel counts by division and month: thinning needs single incidents."""
    rows = records[records["incident"] != ""]
    first = rows.drop_duplicates("incident").set_index("incident")
    date = pd.to_datetime(first["date"].str.split(" ").str[0], format="%m/%d/%Y", errors="coerce")
    counted = first[["division"]].assign(period=12 * (date.dt.year - 2014) + date.dt.month, force=1)
    for outcome, injured, person in (
        ("citizen_injury", "citizen_injured", "citizen"),
        ("officer_injury", "officer_injured", "badge"),
    ):
        persons = rows[rows[injured].isin(YES)].drop_duplicates(["incident", person])
        counted[outcome] = persons.groupby("incident").size().reindex(counted.index, fill_value=0)
    return counted[counted["division"].isin(DIVISIONS) & counted["period"].between(1, PERIODS)]


def many_placebos(
    trial: rct.Trial, roster: pd.DataFrame, found: pd.DataFrame, *, number: int, seed: int
) -> pd.DataFrame:
    """Randomize again and again; test the records as they are, and with an effect planted."""
    rows = []
    for placebo in range(number):
        allocation = rct.randomize(trial, roster, seed=f"placebo {seed}, {placebo}")
        starts = allocation.frame.set_index("unit")["starts"]
        panel = division_months(thinned(found, starts, seed=[seed, placebo]), starts)
        for outcome in OUTCOMES:
            p_value, p_planted = (
                rct.frequentist.randomization_test(
                    panel, name, allocation=allocation, statistic=score, draws=999, seed=placebo
                ).p_value
                for name in (outcome, f"{outcome}_planted")
            )
            log_ratio = rct.frequentist.poisson(panel, outcome, correction="model").estimate
            rows.append((placebo, outcome, log_ratio, p_value, p_planted))
    return pd.DataFrame(rows, columns=["placebo", "outcome", "log_ratio", "p_value", "p_planted"])


def thinned(found: pd.DataFrame, starts: pd.Series, *, seed: list[int]) -> pd.DataFrame:
    """Add counts without a quarter of the treated incidents, drawn at random, and without their injured."""
    treated = found["period"] >= found["division"].map(starts)
    chance = np.where(treated, KEPT, 1.0)
    kept = np.random.default_rng(seed).random(len(found)) < chance
    return found.assign(**{f"{outcome}_planted": found[outcome] * kept for outcome in OUTCOMES})


def division_months(found: pd.DataFrame, starts: pd.Series) -> rct.Panel:
    """Sum incidents to divisions × months; a month without incidents is a zero."""
    grid = pd.MultiIndex.from_product([DIVISIONS, range(1, PERIODS + 1)], names=["division", "period"])
    counts = found.groupby(["division", "period"]).sum().reindex(grid, fill_value=0)
    frame = counts.reset_index().assign(starts=lambda table: table["division"].map(starts))
    return rct.Panel.from_frame(
        frame, unit="division", period="period", outcomes=list(counts), starts="starts"
    )


def score(counts: np.ndarray, _exposure: np.ndarray, doses: np.ndarray, _arms: np.ndarray) -> np.ndarray:
    """Σ dose × (count − fitted), fitted without effect: every division and month has its own level.

    With equal exposure the fit is row total × column total / total. It is the default statistic, without the
    interval that would be inverted in each of the placebo trials for nothing.
    """
    fitted = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / counts.sum()
    return np.tensordot(doses, counts - fitted, axes=2)


def described(panel: rct.Panel) -> str:
    """Say what was counted, and what was found wrong."""
    kinds = panel.problems.groupby(["problem", "done"]).size()
    listed = [f"    {count:5}  {problem}: {done}" for (problem, done), count in kinds.items()]
    no_roster = [
        "  There is no roster of officers: who never used force is not in the files, so rates per officer",
        "  from them would be inflated. Divisions are measured.",
    ]
    return "\n".join([repr(panel), *listed, *no_roster])


def one_line_each(results: rct.Estimates) -> str:
    """Give outcome, estimand, percent change with limits, p-value."""
    lines = []
    for row in results:
        low, high = row.percent_interval
        what = f"  {row.outcome:16}{row.estimand.partition(', ')[2]:36}"
        lines.append(f"{what}{row.percent_change:+6.1f} % ({low:+.1f}, {high:+.1f})  p {row.p_value:.3f}")
    return "\n".join(lines)


def verdict(placebos: pd.DataFrame) -> str:
    """Compare the shares of p ≤ .05 with chance, and say what the trial could have detected."""
    from scipy.stats import binom

    number = placebos["placebo"].nunique()
    low, high = (bound / number for bound in binom.interval(0.99, number, 0.05))
    lines = [
        f"{number} placebo trials: share with p <= .05. By chance it is .05, 99 % of the time between",
        f"{low:.3f} and {high:.3f}",
        f"  {'':16}{'no effect':>12}{'-25 % planted':>18}{'detectable':>14}",
    ]
    for outcome in OUTCOMES:
        trials = placebos[placebos["outcome"] == outcome]
        found, planted = ((trials[name] <= 0.05).mean() for name in ("p_value", "p_planted"))
        change = detectable(trials["log_ratio"])
        lines.append(f"  {outcome:16}{found:12.3f}{planted:18.3f}{change:+12.1f} %")
    lines += [
        "Detectable: the reduction that such a trial finds with 80 % power, by the standard deviation of the",
        "placebo estimates: exp(-2.80 sd) - 1 (normal approximation, constant effect, two-sided 5 %).",
    ]
    return "\n".join(lines)


def detectable(log_ratios: pd.Series) -> float:
    """Give the percent change at which an estimate of this spread is significant in four of five trials."""
    from scipy.stats import norm

    return float(100 * np.expm1(-(norm.ppf(0.975) + norm.ppf(0.8)) * log_ratios.std()))


if __name__ == "__main__":
    sys.exit(main())
