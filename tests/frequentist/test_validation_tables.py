"""The committed validation tables say what the defaults rest on, and their commands still run."""

import importlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rct.frequentist import poisson, randomization_test, staggered, wild_bootstrap
from rct.frequentist.inference.refitted_ratio import slope_information
from rct.panel import Panel

FOLDER = Path(__file__).parents[2] / "validation"


@pytest.fixture
def study(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module


@pytest.fixture(scope="module")
def table():
    return pd.read_csv(FOLDER / "type_one_error.csv")


def test_every_default_holds_its_level_and_its_coverage(table):
    assert set(table["clusters"]) == {6, 9, 12, 20, 50}
    assert set(table["officers"]) == {"independent", "shared by 2.5"}
    assert (table.groupby(["clusters", "officers"]).size() == 7).all()
    assert table["simulations"].min() >= 1000
    default = table[table["default"]]
    assert (default.groupby(["clusters", "officers"]).size() == 2).all()
    assert default["type_one_error"].between(0.03, 0.07).all()
    assert default["coverage"].between(0.93, 0.97).all()


def test_the_plain_sandwich_does_not(table):
    plain = table[table["method"].str.startswith("plain sandwich by division")].set_index("clusters")
    assert (plain.loc[plain.index <= 20, "type_one_error"] > 0.07).all()
    assert not table.loc[table["method"].str.startswith("plain sandwich"), "default"].any()


def test_power_is_that_of_another_program():
    settings = pd.read_csv(FOLDER / "power_settings.csv").dropna()
    assert len(settings) == 6
    error = np.sqrt(0.25 / settings["simulations"] + np.array([0.009, 0.011]).repeat(3) ** 2)
    assert (np.abs(settings["power"] - settings["elsewhere"]) < 3 * error).all()


def test_one_coefficient_is_biased_where_effects_change_and_the_others_are_not():
    changing = pd.read_csv(FOLDER / "changing_effects.csv").set_index(["effect", "estimator"])
    one = ["Poisson, one indicator; CR2", "linear, two-way fixed effects"]
    for effect, sign in (("growing", 1), ("fading", -1)):
        assert (sign * changing.loc[effect].loc[one, "bias_percent"] > 30).all()
        assert (changing.loc[effect].loc[one, "coverage"] < 0.9).all()
    rest = changing.drop(index=one, level="estimator")
    rest = rest[~rest.index.get_level_values("estimator").str.contains("indicator")]
    assert (rest["bias_percent"].abs() < 15).all()
    assert rest["coverage"].between(0.92, 0.97).all()


def test_placebos_are_rejected_by_chance_alone_and_planted_effects_are_found():
    placebo = pd.read_csv(FOLDER / "placebo_allocations.csv")
    assert set(placebo["place"]) == {"Chicago", "Dallas", "New Jersey"}
    nothing, planted = placebo[placebo["effect"] == "none"], placebo[placebo["effect"] != "none"]
    drawn = nothing[nothing["analysis"].str.contains("test")]
    chance = np.sqrt(0.05 * 0.95 / drawn["allocations"])
    assert (np.abs(drawn["rejected"] - 0.05) < 3 * chance).all()
    # Logs of rare events lie too low with and without an effect: what is planted is the distance of the two.
    found = planted["mean"].to_numpy() - nothing["mean"].to_numpy()
    error = np.hypot(
        *(own["sd"].to_numpy() / np.sqrt(own["allocations"].to_numpy()) for own in (planted, nothing))
    )
    assert (np.abs(found - planted["truth"]) < 3 * error + 0.05 * planted["truth"].abs()).all()


def test_the_methods_of_the_study_are_those_of_the_package(study):
    wedges, methods = study("simulated_wedges"), study("inference_methods")
    course = lambda exposure_time: np.full_like(exposure_time, np.log(0.75))  # noqa: E731
    wedge = wedges.Wedge(9, shared=2.5)
    trials = next(wedges.simulated(wedge, course, simulations=2, draws=99, seed=4))
    counts, dose = trials.counts, trials.given
    officer, month = np.divmod(np.arange(600 * 24), 24)
    starts = trials.starts[trials.followed[1]][trials.member]
    frame = pd.DataFrame({
        "officer": officer, "month": month + 1, "division": trials.member[officer],
        "start": starts[officer], "force": trials.officers[1].ravel(),
    })  # fmt: skip
    panel = Panel.from_frame(
        frame, unit="officer", period="month", outcomes=["force"], starts="start", randomized="division"
    )
    public = [
        poisson(panel, "force", cluster=cluster, correction=correction)
        for cluster, correction in ((None, "model"), ("unit", "CR0"), (None, "CR0"))
    ]
    estimate = np.array([0.0, public[0].estimate])
    batch = [std_error[1] for std_error in methods.sandwiches(trials, counts, dose, estimate)]
    assert batch == pytest.approx([own.std_error for own in public], rel=1e-8)
    bootstrap = methods.bootstrap_p_values(counts, dose, 0.0, 999)[1]
    assert bootstrap == wild_bootstrap(panel, "force", draws=999, seed=1).p_value


def test_placebos_by_the_fast_path_are_those_of_the_package(study, monkeypatch):
    placebo = study("placebo_allocations")
    counts = np.random.default_rng(1).poisson(0.8, (60, 8)).astype(float)
    starts = np.repeat([3, 5, 9], 20)
    own = counts[np.random.default_rng([2011, 4]).permutation(60)]
    unit, month = np.divmod(np.arange(60 * 8), 8)
    frame = pd.DataFrame({"unit": unit, "month": month + 1, "start": starts[unit], "force": own.ravel()})
    frame["unit"] = frame["unit"].map("{:02d}".format)
    panel = Panel.from_frame(frame, unit="unit", period="month", outcomes=["force"], starts="start")
    public = staggered(panel, "force", permutations=99, seed=4)
    null = placebo.timing_draws(own, starts, 99, seed=4)
    truth, estimate, margin, p_value = placebo.timed(counts, starts, 4, null)
    assert (truth, p_value) == (0.0, public.p_value)
    assert estimate == pytest.approx(public.estimate, rel=1e-12)
    assert margin == pytest.approx(public.conf_high - public.estimate, rel=1e-9)
    monkeypatch.setattr(placebo, "PLANTED_DRAWS", 3)
    planted = [placebo.timed(10 * counts, starts, i, None) for i in range(30)]
    truth, estimate = np.array(planted).T[:2]
    share = np.array([0, 0, 0.1, 0.1, 0.2, 0.2, 0.2, 0.2])  # of each month in the mean over treated ones
    assert truth.mean() == pytest.approx(-0.25 * 10 * share @ counts.mean(axis=0), rel=0.03)
    assert (estimate - truth).mean() == pytest.approx(0, abs=3 * (estimate - truth).std() / np.sqrt(30))


def test_eighteen_ways_of_inference_reject_as_often_as_in_another_program():
    rows = pd.read_csv(FOLDER / "sizes_elsewhere.csv")
    assert len(rows) == 18
    assert rows["simulations"].min() >= 1000
    pooled = (rows["type_one_error"] + 2 * rows["elsewhere"]) / 3
    error = np.sqrt(pooled * (1 - pooled) * (1 / rows["simulations"] + 1 / 4000))
    assert ((rows["type_one_error"] - rows["elsewhere"]).abs() < 4 * error).all()
    assert rows.loc[rows["default"], "type_one_error"].between(0.03, 0.07).all()


def test_their_batch_forms_are_the_public_functions(study):
    sizes, wedges = study("sizes_elsewhere"), study("simulated_wedges")
    trials = next(wedges.simulated(sizes.WEDGE, np.zeros_like, simulations=2, draws=19, seed=5))
    found = sizes.statistics(trials.counts[1], trials.followed[1], trials)
    division, month = np.indices(trials.counts[1].shape)
    panel = Panel.from_frame(
        pd.DataFrame(
            {"division": division.ravel().astype(str), "month": month.ravel() + 1,
             "force": trials.counts[1].ravel(), "start": trials.starts[trials.followed[1]][division.ravel()]}
        ),
        unit="division", period="month", outcomes=["force"], starts="start",
    )  # fmt: skip
    model = poisson(panel, "force", correction="model")
    assert found[2:, 0] == pytest.approx([model.estimate, model.estimate / model.std_error], rel=1e-6)
    draws = trials.starts[trials.draws]
    for row, statistic in ((0, "score"), (2, "poisson")):
        test = randomization_test(panel, "force", allocation=draws, statistic=statistic)
        assert test.null_draws - test.notes["statistic"] == pytest.approx(
            found[row, 1:] - found[row, 0], abs=1e-6
        )
    dose = trials.dose[np.vstack([trials.followed[1][None], trials.draws])]
    counts = trials.counts[1]
    fitted = counts.sum(axis=1)[:, None] * counts.sum(axis=0) / counts.sum()
    information = slope_information(np.broadcast_to(fitted, dose.shape), dose, row_effects=True)
    assert found[1] == pytest.approx(found[0] / np.sqrt(information))
    margins = sizes.by_wald(trials)
    assert set(margins) | {"wild score bootstrap, 512 signs"} | set(list(sizes.ELSEWHERE)[-4:]) == set(
        sizes.ELSEWHERE
    )
    assert margins["CR3, normal"][1] == (
        abs(model.estimate) > 1.96 * poisson(panel, "force", correction="CR3").std_error
    )


def test_the_commands_that_made_them_run(study):
    type_one_error, changing = study("type_one_error"), study("changing_effects")
    rows = type_one_error.cell(6, "shared by 2.5", 4)
    assert np.isfinite(rows[["type_one_error", "coverage", "power"]].to_numpy()).all()
    settings = type_one_error.setting("one crossing a month", 3)
    assert "| 6 | shared by 2.5 |" in type_one_error.as_markdown(rows, settings, 4)
    both = pd.concat([changing.cell(design, "growing", 4) for design in ("wedge", "roll-out")])
    assert "| roll-out | growing |" in changing.as_markdown(both, 4)


def test_the_mean_over_exposure_times_is_off_by_few_events_alone(study):
    bias = pd.read_csv(FOLDER / "exposure_time_bias.csv")
    assert (bias["expected_counts_percent"].abs() < 1e-3).all()
    difference = bias["bias_percent"] - bias["second_order_percent"]
    assert (difference.abs() < 3 * bias["error_percent"]).all()
    few, many = (bias[bias["times"] == times] for times in (1, 10))
    assert (many["bias_percent"].abs().to_numpy() < few["bias_percent"].abs().to_numpy() / 3).all()
    again = study("exposure_time_bias").cell("growing", 1, 2)
    expected = few.set_index("effect").loc["growing", "second_order_percent"]
    assert again["second_order_percent"] == pytest.approx(expected, abs=1e-3)
    assert again["expected_counts_percent"] == pytest.approx(0, abs=1e-6)
