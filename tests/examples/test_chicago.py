"""The Chicago example reproduces published figures from the public data."""

import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

Example = Callable[[str], ModuleType]
Data = Callable[[str], Path]

# Roth & Sant'Anna 2023, published replication results (R staggered): efficient, simple; 5,537 officers.
# Estimate and standard error; and as shares of the mean of months 1-12, with limits of ± 1.96 se.
PUBLISHED = {
    "complaints": (-0.00237496013182326, 0.00228778809219864),
    "sustained": (-0.000678059070114433, 0.000397727839551123),
    "force": (-0.00905912197855445, 0.00379135082502562),
}
PUBLISHED_SHARES = {
    "complaints": (-0.0455679615936649, -0.1316029579, 0.04046703474),
    "sustained": (-0.154821157576229, -0.3328149445, 0.02317262936),
    "force": (-0.176724691938659, -0.3216890278, -0.0317603561),
}
# R staggered 1.2.3, the same estimator on 7,785 officers: estimate, adjusted and conservative standard error.
LARGER_SAMPLE = {
    "complaints": (-0.00112698138946, 0.0021151941483, 0.00211924806397),
    "force": (-0.00691456793285, 0.00355982467462, 0.00356101127141),
}
# pyfixest 0.60: fepois("y ~ D | uid + period", vcov={"CRV1": "uid"}), default small-sample factor.
TWO_WAY = {
    "complaints": (0.02310407238714267, 0.036236991884666926),
    "sustained": (-0.05646988319985317, 0.11723377357325515),
    "force": (0.022454590979568666, 0.037170133419606566),
}


def written(out: Path) -> pd.DataFrame:
    table = pd.read_csv(out / "estimates.csv")
    assert (out / "forest.png").read_bytes().startswith(b"\x89PNG")
    assert "Chicago procedural justice" in (out / "report.html").read_text(encoding="utf-8")
    return table.set_index([table["scale"], table["outcome"]])


def test_the_published_table_comes_out_to_eight_digits(
    example: Example, public_data: Data, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = public_data("chicago_pj_main.parquet")
    assert example("chicago").main(["--data", str(data), "--out", str(tmp_path), "--permutations", "0"]) == 0
    rows = written(tmp_path)
    for outcome, (value, error) in PUBLISHED.items():
        row = rows.loc[("difference", outcome)]
        assert row["estimate"] == pytest.approx(value, rel=1e-8)
        assert row["std_error"] == pytest.approx(error, rel=1e-7)
        shares = [(row["estimate"] + z * row["std_error"]) / row["baseline"] for z in (0, -1.96, 1.96)]
        assert shares == pytest.approx(PUBLISHED_SHARES[outcome], rel=1e-8)
        limits = [row[end] / row["baseline"] for end in ("conf_low", "conf_high")]
        assert limits == pytest.approx(PUBLISHED_SHARES[outcome][1:], abs=1e-5)
    for outcome, (value, error) in TWO_WAY.items():
        row = rows.loc[("log", outcome)]
        assert row["estimate"] == pytest.approx(value, rel=1e-6)
        assert row["std_error"] == pytest.approx(error, rel=1e-5)
    printed = capsys.readouterr().out
    assert "-17.67 % (-32.17, -3.18)" in printed
    assert "+2.27 %" in printed


def test_the_larger_sample_gives_what_r_gives(example: Example, public_data: Data) -> None:
    chicago = example("chicago")
    panel = chicago.read_panel(public_data("chicago_pj.parquet"))
    results = chicago.estimate(panel, permutations=0, seed=1)
    for outcome, (value, error, conservative) in LARGER_SAMPLE.items():
        row = results[outcome].rows[0]
        assert (row.estimate, row.std_error) == pytest.approx((value, error), rel=1e-8)
        assert row.std_error_neyman == pytest.approx(conservative, rel=1e-8)
    assert "published table is of 5,537 district officers of these" in chicago.table(panel, results)


def test_late_effects_count_negatively_and_pull_the_two_way_estimate_up(
    example: Example, public_data: Data
) -> None:
    """Shares of `two_way_weights`; the efficient event study's effects grow from year to year."""
    chicago = example("chicago")
    panel = chicago.read_panel(public_data("chicago_pj_main.parquet"))
    table = chicago.shares_by_year(panel)
    weights = chicago.rct.frequentist.two_way_weights(panel, "force")
    first_year = weights.loc[weights["exposure_time"] <= 12, "weight"]
    assert table.loc[1, "share"] == pytest.approx(first_year.sum())
    assert table.loc[1, "negative"] == 0
    assert table.loc[4, "share"] < -0.05
    assert table["effect"].is_monotonic_decreasing
    assert table["weighted"].sum() > table["effect"].mean() + 0.1
    words = chicago.shares_in_words(table)
    assert "149 of 171" in words
    assert "add up to -6 %; their plain mean is -21 %" in words


def test_permutations_take_the_place_of_the_normal_p_value(example: Example) -> None:
    chicago = example("chicago")
    panel = chicago.rct.Panel.from_frame(
        small_panel(), unit="uid", period="period", outcomes=list(chicago.OUTCOMES), starts="first_trained"
    )
    row = chicago.estimate(panel, permutations=19, seed=1)["force"].rows[0]
    assert (20 * row.p_value) == pytest.approx(round(20 * row.p_value))
    assert row.notes["p_normal"] != row.p_value
    assert row.p_adjusted >= row.p_value


def test_a_missing_file_says_where_the_data_are(
    example: Example, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = tmp_path / "absent.parquet"
    out = tmp_path / "out"
    assert example("chicago").main(["--data", str(absent), "--out", str(out)]) == 2
    message = capsys.readouterr().err
    for told in (str(absent), "pedrohcgs/RS_Staggered_application", "staggered", "first_trained"):
        assert told in message
    assert not out.exists()


def test_a_lacking_column_is_named(
    example: Example, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_panel().drop(columns="sustained").to_parquet(tmp_path / "panel.parquet")
    arguments = ["--data", str(tmp_path / "panel.parquet"), "--out", str(tmp_path / "out")]
    assert example("chicago").main(arguments) == 2
    assert "has no column sustained." in capsys.readouterr().err


def small_panel() -> pd.DataFrame:
    """Forty officers, fifteen months, four cohorts; counts by a fixed rule."""
    rows = [
        (officer, month, 3 + officer % 4, int(math.sin(7 * officer + month) > 0.6), officer * month % 5 == 0,
         int(math.cos(officer * month) > 0.3))
        for officer in range(1, 41)
        for month in range(1, 16)
    ]  # fmt: skip
    columns = ["uid", "period", "first_trained", "complaints", "sustained", "force"]
    return pd.DataFrame(rows, columns=columns).astype(int)
