"""Power of the Louisville-like wedge by simulation of the declared trial, beside an independent simulator.

    python validation/louisville_power.py [--simulations N]

Nine divisions, 24 months, 600 officers; gamma shape .6, division sd .15, division-month sd .10. The reference
is a separate NumPy simulator (3,000 to 4,000 replicates, 1,999 re-randomizations; 2,000 for the schedule that
crosses every second month). Rows that are there are kept, so a run that was stopped goes on; writes
louisville_power.csv and louisville_power.md beside itself.
"""

import argparse
from pathlib import Path

import pandas as pd

import rct
from rct import power

HERE = Path(__file__).parent
MONTHLY, EVERY_SECOND = "baseline = 12\nstep = 1", "baseline = 3\nstep = 2"
CASES = [  # schedule, outcome, ratio, reference by randomization, by CR2, its simulations
    ("monthly", "force", 0.75, 0.339, 0.282, 3000),
    ("monthly", "force", 0.719, 0.402, 0.335, 3000),
    ("monthly", "citizen_injury", 0.75, 0.168, 0.146, 3000),
    ("monthly", "citizen_injury", 0.60, 0.365, 0.314, 3000),
    ("monthly", "officer_injury", 0.64, 0.204, 0.169, 3000),
    ("monthly", "force", 1.0, 0.050, 0.049, 3000),
    ("every second month", "force", 0.75, 0.485, 0.412, 2000),
]
PROMISE = """[analysis]
primary = {{ estimator = "poisson", effect = "constant" }}
inference = "{inference}"
seed = 20181101
"""


def declared(schedule: str, inference: str) -> rct.Trial:
    text = rct.load("louisville_icat").to_toml()
    if schedule != "monthly":
        text = text.replace(MONTHLY, EVERY_SECOND)
    before, after = text[: text.index("[analysis]")], text[text.index("[power]") :]
    return rct.Trial.parse(before + PROMISE.format(inference=inference) + "\n" + after)


def simulated(case: tuple, sims: int) -> dict:
    schedule, outcome, ratio, by_randomization, by_cr2, behind = case
    row = {"schedule": schedule, "outcome": outcome, "ratio": ratio, "sims": sims}
    effects = dict.fromkeys(["force", "citizen_injury", "officer_injury"], ratio)
    references = {"randomization": by_randomization, "cluster-robust": by_cr2}
    for inference, reference in references.items():
        found = power.simulate(declared(schedule, inference), effects=effects, sims=sims, draws=1999, seed=7)
        own = found.frame.set_index("outcome").loc[outcome]
        error = (own["mc_error"] ** 2 + reference * (1 - reference) / behind) ** 0.5
        row |= {inference: own["power"], f"{inference}, reference": reference}
        row |= {f"{inference}, difference in errors": (own["power"] - reference) / error}
    return row


def written(table: pd.DataFrame, sims: int) -> None:
    table.round(4).to_csv(HERE / "louisville_power.csv", index=False)
    lines = [
        "# Power of the Louisville-like wedge",
        "",
        f"Made by `python validation/louisville_power.py --simulations {sims}`. Simulation of the declared "
        "trial (constant effect, 1,999 re-randomizations) beside an independent simulator; in brackets the "
        "difference in Monte-Carlo standard errors of both.",
        "",
        "| crossings | outcome | ratio | randomization | reference | CR2, Satterthwaite | reference |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in table.to_dict("records"):
        cells = [row["schedule"], row["outcome"], f"{row['ratio']:g}"]
        for inference in ("randomization", "cluster-robust"):
            error = row[f"{inference}, difference in errors"]
            cells += [f"{row[inference]:.3f} ({error:+.1f})", f"{row[f'{inference}, reference']:.3f}"]
        lines.append("| " + " | ".join(cells) + " |")
    (HERE / "louisville_power.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=4000)
    sims = parser.parse_args().simulations
    kept = HERE / "louisville_power.csv"
    rows = pd.read_csv(kept).query("sims == @sims").to_dict("records") if kept.exists() else []
    done = {(row["schedule"], row["outcome"], row["ratio"]) for row in rows}
    for case in CASES:
        if case[:3] not in done:
            rows.append(simulated(case, sims))
            written(pd.DataFrame(rows), sims)


if __name__ == "__main__":
    main()
