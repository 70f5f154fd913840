"""Where units and their spells of treatment begin, against a walk over the rows."""

import numpy as np
import pandas as pd
import pytest

from rct.row_runs import find_spells, run_starts, unit_starts


def walked(rows):
    return [i for i, row in enumerate(rows) if i == 0 or row != rows[i - 1]]


@pytest.mark.parametrize("seed", range(6))
def test_spells_are_those_that_a_walk_over_the_rows_finds(seed):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "unit": np.repeat([f"u{i:02d}" for i in range(20)], 6),
            "period": np.tile(np.arange(1, 7), 20),
            "arm": rng.choice(["control", "A", "B"], 120),
            "sequence": np.repeat(rng.integers(0, 3, 20), 6),
            "treated": rng.choice([0.0, 1.0, 0.5, np.nan], 120),
        }
    )
    frame = frame[rng.random(120) > 0.3].reset_index(drop=True)
    spells = find_spells(frame)
    columns = [frame[name].tolist() for name in ("unit", "arm", "sequence")]
    rows = list(zip(*columns, (frame["treated"] > 0).tolist(), strict=True))
    assert spells.rows.tolist() == walked(rows)
    assert spells.units.tolist() == walked(columns[0])
    assert [spells.names[code] for code in spells.arm] == [columns[1][i] for i in spells.rows]
    assert spells.treated.tolist() == [rows[i][3] for i in spells.rows]


def test_units_whose_periods_go_on_rising_are_told_apart_by_their_ids():
    unit = pd.array(["a", "a", "b", "c", "c", "c"], dtype="str")
    for period in ([1, 2, 3, 1, 2, 3], [1, 2, 3, 4, 5, 6], [3, 4, 4, 5, 6, 7]):
        assert unit_starts(unit, np.array(period)).tolist() == [0, 2, 3]


def test_runs_of_several_columns_begin_where_any_of_them_changes():
    assert run_starts(np.array([1, 1, 2, 2]), np.array([0, 5, 5, 5])).tolist() == [0, 1, 2]
