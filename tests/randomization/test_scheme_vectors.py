"""Golden allocations of the further schemes, derived in JavaScript from the page on bytes.

``scheme_vectors.mjs`` made ``scheme_vectors.json``; neither a shuffled roster, nor further columns, nor other
line ends change what rct makes of the same inputs.
"""

import json
from pathlib import Path

import pandas as pd
import pytest

from rct.randomization import randomize, read_roster
from rct.trial import Trial

VECTORS = json.loads((Path(__file__).parent / "scheme_vectors.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["name"])
def test_rct_makes_the_allocation_that_javascript_derived(case, tmp_path):
    trial = Trial.parse(case["trial"])
    assert trial.design_json == case["design"]
    roster = pd.DataFrame(case["roster"], dtype="str")
    shuffled = roster.sample(frac=1, random_state=5).assign(rank="x", age=[3.5] * len(roster))
    text = roster.to_csv(index=False)
    (tmp_path / "windows.csv").write_bytes(text.replace("\n", "\r\n").encode("utf-8-sig"))
    made = [
        randomize(trial, each, seed=case["seed"])
        for each in (roster, shuffled, read_roster(tmp_path / "windows.csv"))
    ]
    assert dict(zip(made[0].frame["unit"], made[0].frame["sequence"], strict=True)) == case["sequence"]
    assert made[0].certificate == made[1].certificate == made[2].certificate
    blocks = {unit["id"]: unit["block"] for unit in case["units"]}
    assert {unit["unit"]: unit["block"] for unit in made[0].certificate["units"]} == blocks
