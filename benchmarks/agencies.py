"""Hundreds of agencies at once: New Jersey's portal, incidents by agency and month, from call to summary.

    python benchmarks/agencies.py --data FOLDER      (the folder that holds new_jersey/)

Prints seconds and the worst R-hat, effective sample size and divergences of 4 chains × 1,000 draws. The peers
are two plain non-centred models of the same panel with an effect for each agency (PyMC 5, nutpie, 2 cores):
145 and 155 s with R-hat 1.16 and 1.07, effective sample sizes 24 and 50.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

import rct

START = "2022-01"


def new_jersey(folder: Path) -> rct.Panel:
    file = folder / "new_jersey" / "use_of_force_2020-10_2024-10.parquet"
    reports = pd.read_parquet(file, columns=["IncidentID", "AgencyName", "IncidentDate"])
    incidents = reports.drop_duplicates("IncidentID").assign(month=lambda f: f["IncidentDate"].str[:7])
    counts = incidents.groupby(["AgencyName", "month"]).size().unstack(fill_value=0)
    rows = counts.stack().rename("force").reset_index()
    months = sorted(counts.columns)
    rows["period"] = rows["month"].map({month: number for number, month in enumerate(months, 1)})
    rows["start"] = months.index(START) + 1
    return rct.Panel.from_frame(rows, unit="AgencyName", period="period", outcomes=["force"], starts="start")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    panel = new_jersey(parser.parse_args().data)
    begun = time.perf_counter()
    posterior = rct.bayesian.agencies(panel, "force", seed=1)
    table = rct.bayesian.agency_table(posterior)
    seconds = time.perf_counter() - begun
    found = posterior.diagnostics
    sizes = np.array([[found[of][name] for name in found["rhat"]] for of in ("ess_bulk", "ess_tail")])
    print(posterior)
    print(table["verdict"].value_counts().to_string())
    print(
        f"{len(table)} agencies × {panel.periods} months: {seconds:.0f} s, largest R-hat "
        f"{max(found['rhat'].values()):.4f}, smallest effective sample size {sizes.min():.0f}, "
        f"{found['divergences']} divergences"
    )


if __name__ == "__main__":
    main()
