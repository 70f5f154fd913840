"""Who in New Jersey can detect what: every agency alone, and pooled with others like it.

    python examples/new_jersey_power.py --data use_of_force_2020-10_2024-10.parquet --out new_jersey

Half of each agency's officers are trained at random and all are followed for 24 months. Rates, officers and
how unequal they are come from the agency's own reports of 2021 to 2023 in the state's use-of-force portal. An
officer is one who reported force at all in these years, so agencies have more officers than are counted here,
and lower rates. An incident counts once, for the officer who reported it first.

Power is that of the Wald test of the log rate ratio (rct.power.rates), rough where a group expects fewer than
40 events; three agencies are simulated as well. The file has one row per report: AgencyName, UserID,
IncidentID, IncidentDate, OfficerInjuriesInjured, SubjectInjuredInIncident.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd

import rct
from rct import power
from rct.power.verdict import Size, verdict

COLUMNS = ["AgencyName", "UserID", "IncidentID", "IncidentDate"]
COLUMNS += ["OfficerInjuriesInjured", "SubjectInjuredInIncident"]
YEARS, MONTHS, FOLLOWED, RATIO = (2021, 2022, 2023), 36, 24, 0.8
OUTCOMES = {
    "force": "use-of-force incidents",
    "citizen_injury": "incidents with a citizen injured",
    "officer_injury": "incidents with an officer injured",
}
GET_THE_DATA = """\
The portal's records are in the R data package njoaguof (https://github.com/tor-gu/njoaguof); save its table
of incidents as Parquet or CSV, as text, and give its path with --data."""

TRIAL = """
format = 1
name = "{name}"
[units]
randomize = "officer_id"
measure = "officer"
id = "officer_id"
[arms]
control = "usual training"
treatments = ["ICAT"]
[schedule]
kind = "parallel"
periods = 24
{outcomes}
[analysis]
primary = "difference_in_means"
inference = "hc2"
seed = 2021
[power]
effects = {{ force = 0.8, citizen_injury = 0.8, officer_injury = 0.8 }}
rates = {{ {rates} }}
units = {units}
heterogeneity = {shape:.3f}
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the example; 0 when it is done, 2 for input that cannot be used."""
    options = _options().parse_args(arguments)
    if not options.data.is_file():
        sys.stderr.write(f"{options.data} is no file that is there.\n{GET_THE_DATA}\n")
        return 2
    reports = read_reports(options.data)
    agencies, shape = agencies_of(reports)
    table = powers(agencies, shape)
    options.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(options.out / "agencies.csv", index=False)
    draw(table, options.out / "agencies.svg")
    for line in said(table, agencies, shape, options.agency, options.sims):
        sys.stdout.write(f"{line}\n")
    return 0


def read_reports(file: Path) -> pd.DataFrame:
    """Give the reports of the three years, one row each."""
    reports = (
        pd.read_csv(file, dtype=str) if file.suffix == ".csv" else pd.read_parquet(file, columns=COLUMNS)
    )
    reports = reports.assign(date=pd.to_datetime(reports["IncidentDate"], errors="coerce"))
    return reports[reports["date"].dt.year.isin(YEARS)].dropna(subset=["AgencyName", "UserID", "IncidentID"])


def agencies_of(reports: pd.DataFrame) -> tuple[pd.DataFrame, float]:
    """Give officers and incidents of each agency, and the gamma shape of officers' rates within agencies."""
    flagged = reports.assign(
        citizen=reports["SubjectInjuredInIncident"].str.contains("Yes", na=False),
        officer=reports["OfficerInjuriesInjured"].str.lower().str.contains("true", na=False),
    ).sort_values(["date", "UserID"], kind="stable")
    incidents = flagged.groupby(["AgencyName", "IncidentID"], sort=True).agg(
        first=("UserID", "first"), citizen=("citizen", "any"), officer=("officer", "any")
    )
    by_agency = incidents.groupby("AgencyName")
    agencies = pd.DataFrame(
        {
            "officers": reports.groupby("AgencyName")["UserID"].nunique(),
            "force": by_agency.size(),
            "citizen_injury": by_agency["citizen"].sum(),
            "officer_injury": by_agency["officer"].sum(),
        }
    )
    led = incidents.reset_index().groupby(["AgencyName", "first"]).size().rename("led").reset_index()
    officers = reports[["AgencyName", "UserID"]].drop_duplicates()
    led = officers.merge(
        led, left_on=["AgencyName", "UserID"], right_on=["AgencyName", "first"], how="left"
    ).fillna({"led": 0})
    mean = led["AgencyName"].map(agencies["force"] / agencies["officers"])
    # Of Σ(y − μ)² within agencies of n officers, n − 1 of n parts remain after the mean is taken out.
    free = 1 - 1 / led["AgencyName"].map(agencies["officers"])
    excess = (((led["led"] - mean) ** 2) - mean * free).sum() / (mean**2 * free).sum()
    return agencies.reset_index(), float(1 / excess)


def powers(agencies: pd.DataFrame, shape: float) -> pd.DataFrame:
    """Give power alone, and how many agencies of that size are enough together, agency by agency."""
    rows = []
    for agency in agencies.to_dict("records"):
        for outcome in OUTCOMES:
            rate = agency[outcome] / agency["officers"] / MONTHS
            row = {
                "agency": agency["AgencyName"], "officers": agency["officers"], "outcome": outcome,
                "events_a_month": agency[outcome] / MONTHS, "power": float("nan"), "pooled": float("nan"),
            }  # fmt: skip
            if rate > 0 and agency["officers"] >= 2:
                given = {"rate": rate, "ratio": RATIO, "exposure": FOLLOWED, "dispersion": 1 / shape}
                half = agency["officers"] / 2
                row["power"] = power.rates(**given, n=half).power
                row["pooled"] = -(-power.rates(**given, power=0.8).n // half)
            rows.append(row)
    return pd.DataFrame(rows)


def declared(agency: dict, shape: float) -> rct.Trial:
    """Give an agency's trial."""
    outcomes = "\n".join(
        f'[[outcomes]]\nname = "{name}"\nlabel = "{label}"\nprimary = {str(name == "force").lower()}'
        for name, label in OUTCOMES.items()
    )
    rates = ", ".join(
        f"{name} = {max(agency[name], 0.5) / agency['officers'] / MONTHS:.6f}" for name in OUTCOMES
    )
    name = agency["AgencyName"].replace('"', "")
    return rct.Trial.parse(
        TRIAL.format(name=name, outcomes=outcomes, rates=rates, units=agency["officers"], shape=shape)
    )


def said(table: pd.DataFrame, agencies: pd.DataFrame, shape: float, name: str, sims: int) -> list[str]:
    """Say who can detect what, what one agency can, and what simulation finds of three."""
    lines = [f"{len(agencies)} agencies; gamma shape of officers' rates {shape:.2f}."]
    for outcome, label in OUTCOMES.items():
        own = table[table["outcome"] == outcome]
        able = int((own["power"] >= 0.8).sum())
        together = agencies[outcome].sum() / agencies["officers"].sum() / MONTHS
        whole = power.rates(
            rate=together,
            n=agencies["officers"].sum() / 2,
            power=0.8,
            exposure=FOLLOWED,
            dispersion=1 / shape,
        )
        lines.append(
            f"{label}: {able} of {len(own)} agencies can detect a 20 % fall alone; the median agency sees it "
            f"in {100 * own['power'].median():.0f} % of studies and needs {own['pooled'].median():.0f} like "
            f"it; all together could detect {100 * (whole.ratio - 1):+.1f} %."
        )
    ranked = agencies.sort_values("force", ignore_index=True)
    chosen = agencies[agencies["AgencyName"] == name] if name else ranked.iloc[[len(ranked) * 3 // 4]]
    for agency in chosen.to_dict("records"):
        trial = declared(agency, shape)
        size = Size(agency["officers"], agency["officers"], {o: agency[o] / MONTHS for o in OUTCOMES})
        own = table[table["agency"] == agency["AgencyName"]].set_index("outcome").dropna()
        lines.append(f"{agency['AgencyName']}:")
        for outcome, found in own.iterrows():
            row = {"outcome": outcome, "arm": "ICAT", "effect": RATIO, "power": found["power"]}
            lines.append(f"  {verdict(trial, size, row, pooled=int(found['pooled']))}")
    if sims:
        lines.append(f"Simulated beside the formula, use of force ({sims} trials each):")
        for place in (0.75, 0.95, 0.995):
            agency = ranked.iloc[int(place * (len(ranked) - 1))].to_dict()
            found = power.simulate(declared(agency, shape), sims=sims).primary.iloc[0]
            formula = table[(table["agency"] == agency["AgencyName"]) & (table["outcome"] == "force")]
            lines.append(
                f"  {agency['AgencyName']}, {agency['officers']} officers: {100 * found['power']:.0f} % "
                f"(± {100 * found['mc_error']:.1f}), formula {100 * formula['power'].iloc[0]:.0f} %"
            )
    return lines


def draw(table: pd.DataFrame, file: Path) -> None:
    """Draw power alone, and how many agencies like it are enough, against events a month."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FuncFormatter, PercentFormatter

    figure, (alone, pooled) = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
    colours = dict(zip(OUTCOMES, ("#0072B2", "#D55E00", "#009E73"), strict=True))
    for outcome, label in OUTCOMES.items():
        own = table[(table["outcome"] == outcome) & table["power"].notna()]
        for axes, column in ((alone, "power"), (pooled, "pooled")):
            where = {"s": 9, "alpha": 0.6, "color": colours[outcome], "label": label}
            axes.scatter(own["events_a_month"], own[column], **where)
    alone.axhline(0.8, color="grey", linestyle="--", linewidth=1)
    alone.annotate("80 %, what is usually asked", (0.03, 0.81), color="grey", fontsize=8)
    alone.set(ylim=(0, 1), ylabel="chance to see a fall of 20 %", title="Each agency alone")
    alone.yaxis.set_major_formatter(PercentFormatter(1))
    pooled.set(yscale="log", ylabel="agencies like it", title="Pooled: how many like it see it in 80 %")
    pooled.yaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
    for axes in (alone, pooled):
        axes.set(xscale="log", xlabel="events a month in the agency")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda events, _: f"{events:g}"))
        axes.spines[["top", "right"]].set_visible(False)
    alone.legend(frameon=False, fontsize=8, loc="center left")
    figure.savefig(file)
    plt.close(figure)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("new_jersey"))
    parser.add_argument("--agency", default="", help="an agency's name, as the file has it")
    parser.add_argument("--sims", type=int, default=500, help="simulated trials of three agencies; 0 = none")
    return parser


if __name__ == "__main__":
    sys.exit(main())
