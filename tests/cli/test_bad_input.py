"""Every bad input ends in one clear message and exit code 2, and nothing is written."""

import json

import pandas as pd
import pyarrow.parquet as pq
import pytest

import rct


def edited(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def rewritten(path, **columns):
    table = pq.read_table(path)
    frame = table.to_pandas().assign(**columns)
    changed = table.from_pandas(frame, preserve_index=False).replace_schema_metadata(table.schema.metadata)
    pq.write_table(changed, path)


@pytest.fixture
def refused(rct_command, here):
    """Give a function that runs ``rct randomize``, sees it refuse and write nothing, and says how."""

    def refuse(*, trial=here / "trial.toml", roster=here / "roster.csv"):
        before = sorted(here.iterdir())
        words = ("--roster", roster, "--seed", "a test", "--out", here / "out")
        said = rct_command("randomize", trial, *words)
        assert said.code == 2
        assert said.out == ""
        assert said.err.count("error: ") == 1
        assert sorted(here.iterdir()) == before
        return said.err

    return refuse


def roster_of(here, **columns):
    path = here / "other.csv"
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


def test_a_missing_trial_file(refused, here):
    assert "nowhere.toml: there is no such file" in refused(trial=here / "nowhere.toml")


def test_a_missing_roster(refused, here):
    assert "nowhere.csv: there is no such file" in refused(roster=here / "nowhere.csv")


def test_an_unknown_key_with_the_nearest_known_one(refused, here):
    edited(here / "trial.toml", "baseline =", "baselin =")
    message = refused()
    assert '"baselin" is not a key of [schedule]; did you mean "baseline"?' in message
    assert "trial.toml, line 19" in message


def test_a_misspelt_estimator_with_the_nearest_known_one(refused, here):
    edited(here / "trial.toml", 'primary = { estimator = "poisson"', 'primary = { estimator = "poison"')
    assert (
        "trial.toml, line 26: analysis.primary: there is no estimator 'poison'; did you mean 'poisson'?"
        in refused()
    )


def test_an_analysis_that_the_design_cannot_carry_with_its_line(refused, here):
    edited(here / "trial.toml", "average = [1, 2]", "average = [1, 7]")
    assert "trial.toml, line 27: analysis.secondary[0]: poisson exposure-time mean of 1–7" in refused()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'effect = "constant"',
            "fixed_effects = [3]",
            "line 26: analysis.primary: fixed_effects names columns",
        ),
        ('effect = "constant"', "cluster = 7", "line 26: analysis.primary: cluster names columns"),
        (
            'effect = "constant"',
            'random_effects = "gamma", quadrature = "x"',
            "quadrature should be a whole number",
        ),
        ("draws = 99", 'covariates = ["officer_id"]', "line 28: analysis.covariates: officer_id names"),
        ("draws = 99", "draws = 0", "line 28: analysis.draws: should be 1 or more, not 0\n"),
        ('treatments = ["training"]', "treatments = 3", "arms.treatments: should be a list in brackets"),
        ('treatments = ["training"]', "treatments = []", "treatments: should be a list of 1 or more, not []"),
        (
            "draws = 99",
            'covariates = ["squat"]',
            'line 28: analysis.covariates: the roster has no column "squ',
        ),
        (
            "start = 2024-01-01",
            "start = 9999-12-01",
            "line 16: schedule.start: 8 periods of a month from 9999",
        ),
        ('effect = "constant"', "trends = 0", "trends should be 'unit' or 'cluster', not 0"),
        ("periods = 8", "periods = 100000000000", "periods: should be 100000 or less"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named_with_its_line(refused, here, old, new, message):
    edited(here / "trial.toml", old, new)
    assert message in refused()


def test_a_unit_column_that_the_roster_does_not_have(refused, here):
    roster = roster_of(here, officer_id=["1", "2"], squads=["a", "b"])
    assert 'there is no column "squad", which the trial names. Did you mean "squads"?' in refused(
        roster=roster
    )


def test_duplicate_ids_are_listed_with_their_rows(refused, here):
    roster = roster_of(here, officer_id=["7", "8", "7"], squad=["a", "b", "c"])
    assert '"7" in rows 2, 4' in refused(roster=roster)


def test_ids_that_a_program_took_for_numbers(refused, here):
    roster = roster_of(here, officer_id=[7.0, 8.0, 9.0], squad=["a", "b", "c"])
    assert "ids in officer_id are decimal numbers: 7.0 in row 2" in refused(roster=roster)


def test_a_blank_id(refused, here):
    roster = roster_of(here, officer_id=["7", " ", "9"], squad=["a", "b", "c"])
    assert "row 3: a blank id" in refused(roster=roster)


def test_a_block_that_varies_within_a_randomized_unit(refused, here):
    edited(here / "trial.toml", 'id = "officer_id"', 'id = "officer_id"\nblock = ["district"]')
    roster = roster_of(here, officer_id=["7", "8", "9"], squad=["a", "a", "b"], district=["N", "S", "N"])
    message = refused(roster=roster)
    assert "the block (district) varies within a squad: a: N (row 2), S (row 3)" in message


def test_an_empty_block(refused, here):
    edited(here / "trial.toml", 'id = "officer_id"', 'id = "officer_id"\nblock = ["district"]')
    roster = roster_of(here, officer_id=["7", "8"], squad=["a", "b"], district=["N", ""])
    assert "the block column district is empty in row 3" in refused(roster=roster)


def test_fewer_units_than_arms(refused, here):
    assert "fewer than the 2 arms" in refused(roster=roster_of(here, officer_id=["7"], squad=["a"]))


def test_a_folder_that_already_holds_an_allocation_is_left_as_it_is(rct_command, allocated):
    before = {path.name: path.read_bytes() for path in (allocated / "allocation").iterdir()}
    words = ("--roster", allocated / "roster.csv", "--seed", "another", "--out", allocated / "allocation")
    said = rct_command("randomize", allocated / "trial.toml", *words)
    assert said.code == 2
    assert "already holds an allocation" in said.err
    assert {path.name: path.read_bytes() for path in (allocated / "allocation").iterdir()} == before


def test_a_certificate_that_is_no_certificate(rct_command, allocated):
    (allocated / "allocation" / "certificate.json").write_text("[]", encoding="utf-8")
    said = rct_command("verify", allocated / "allocation", "--roster", allocated / "roster.csv")
    assert said.code == 2
    assert "no certificate that this version knows: the file should be a table, not []" in said.err


@pytest.fixture
def not_estimated(rct_command, simulated):
    """Give a function that runs ``rct estimate``, sees it refuse and write nothing, and says how."""

    def refuse():
        words = ("--panel", simulated / "panel.parquet", "--allocation", simulated / "allocation")
        said = rct_command(
            "estimate", simulated / "trial.toml", *words, "--out", simulated / "estimates", "-q"
        )
        assert said.code == 2
        assert said.out == ""
        assert said.err.count("error: ") == 1
        assert not (simulated / "estimates").exists()
        return said.err

    return refuse


def test_negative_counts(not_estimated, simulated):
    counts = rct.Panel.read(simulated / "panel.parquet").frame["force"]
    rewritten(simulated / "panel.parquet", force=counts.where(counts.index != 3, -1))
    assert "negative counts: force = -1 for unit 0001 in period 2024-04" in not_estimated()


def test_fractional_counts_in_an_outcome_that_does_not_declare_them(not_estimated, simulated):
    counts = rct.Panel.read(simulated / "panel.parquet").frame["force"]
    rewritten(simulated / "panel.parquet", force=counts + 0.5)
    assert "fractional" in not_estimated()


def test_a_file_that_is_no_panel(not_estimated, simulated):
    (simulated / "panel.parquet").write_text("not Parquet", encoding="utf-8")
    assert "is no panel" in not_estimated()


def test_a_panel_whose_bytes_were_damaged(not_estimated, simulated):
    whole = (simulated / "panel.parquet").read_bytes()
    length = int.from_bytes(whole[-8:-4], "little")  # of the footer, which stands before it
    damaged = whole[: -8 - length] + b"\xff" * length + whole[-8:]
    (simulated / "panel.parquet").write_bytes(damaged)
    assert "panel.parquet is no panel written by rct" in not_estimated()


def test_a_missing_panel(not_estimated, simulated):
    (simulated / "panel.parquet").unlink()
    assert "is not there" in not_estimated()


def test_an_allocation_of_another_design_names_the_table(not_estimated, simulated):
    edited(simulated / "trial.toml", "baseline = 2", "baseline = 1")
    assert "[schedule] of the trial file differ" in not_estimated()


def test_estimates_are_not_begun_where_they_cannot_be_written(rct_command, simulated):
    words = ("--panel", simulated / "panel.parquet", "--allocation", simulated / "allocation")
    for place, problem in (("trial.toml", "is a file"), ("allocation", "holds other files than estimates")):
        said = rct_command("estimate", simulated / "trial.toml", *words, "--out", simulated / place)
        assert said.code == 2
        assert said.err == f"error: {simulated / place} {problem}; " + said.err.partition("; ")[2]


def test_an_unknown_option_of_a_verb(rct_command):
    assert rct_command("check", "louisville_icat", "--rooster", "x.csv").code == 2


def test_an_effect_on_an_unknown_outcome(rct_command, allocated):
    words = ("--allocation", allocated / "allocation", "--seed", "1", "--out", allocated / "panel.parquet")
    said = rct_command("simulate", allocated / "trial.toml", *words, "--effect", "forse=0.7")
    assert said.code == 2
    assert "did you mean 'force'?" in said.err
    assert not (allocated / "panel.parquet").exists()


def test_a_folder_that_cannot_be_written(rct_command, here):
    (here / "file").write_text("", encoding="utf-8")
    words = ("--roster", here / "roster.csv", "--seed", "a test", "--out", here / "file" / "allocation")
    said = rct_command("randomize", here / "trial.toml", *words)
    assert said.code == 2
    assert said.err.startswith("error: ")


def test_an_error_leaves_stdout_empty_with_json_too(rct_command, here):
    words = ("--roster", here / "nowhere.csv", "--seed", "a", "--out", here / "out", "--json")
    said = rct_command("randomize", here / "trial.toml", *words)
    assert (said.code, said.out) == (2, "")
    with pytest.raises(json.JSONDecodeError):
        json.loads(said.out)


def test_an_effect_beyond_all_measure(rct_command, allocated):
    words = ("--allocation", allocated / "allocation", "--seed", "1", "--out", allocated / "panel.parquet")
    said = rct_command("simulate", allocated / "trial.toml", *words, "--effect", "force=1e300")
    assert said.code == 2
    assert "a rate ratio above 0 (0.75 = −25 %) and at most 1,000, not 1e+300" in said.err
    assert not (allocated / "panel.parquet").exists()


def test_a_seed_of_bytes_that_are_no_text(rct_command, here):
    words = ("--roster", here / "roster.csv", "--seed", "a\udcff", "--out", here / "out")
    said = rct_command("randomize", here / "trial.toml", *words)
    assert said.code == 2
    assert "the seed holds bytes that are not UTF-8" in said.err
    assert not (here / "out").exists()
