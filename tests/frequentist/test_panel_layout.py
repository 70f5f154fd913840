"""What a panel keeps of its rows gives the very fits that its rows give."""

from dataclasses import replace

import numpy as np
import pytest

from rct.estimates import Estimate
from rct.frequentist import poisson, poisson_fixed_effects
from rct.frequentist.panel_layout import fit_layout, panel_layout
from rct.panel import Panel

from .conftest import officer_frame


def panel_of(frame, exposure=None):
    return Panel.from_frame(
        frame, unit="officer", period="month", outcomes=["force", "injury"], starts="start", cluster="squad",
        block="district", exposure=exposure,
    )  # fmt: skip


@pytest.fixture(scope="module")
def frame():
    """Counts where an officer, a month and much else may have no event."""
    made = officer_frame(120)
    return made.assign(
        injury=np.where(made["month"] == 7, 0, made["force"] * (made.index % 3 == 0)),
        shifts=1.0 + made["squad"].str[-1].astype(int) % 2,
    )


@pytest.mark.parametrize("outcome", ["force", "injury"])
@pytest.mark.parametrize("exposure", [None, "shifts"])
@pytest.mark.parametrize(
    "options",
    [
        {"cluster": "unit", "correction": "CR1N"},
        {"cluster": "unit", "correction": "CR1S"},
        {"correction": "CR0"},
        {"correction": "CR1N"},
        {"correction": "model"},
        {"cluster": "block", "correction": "CR1N", "fixed_effects": ("unit", "block:period")},
        {"cluster": "unit", "effect": "exposure-time"},
    ],
)
def test_a_fit_by_layout_equals_the_fit_by_rows(monkeypatch, frame, outcome, exposure, options):
    panel = panel_of(frame, exposure)
    layout = panel_layout(
        panel, outcome, options.get("fixed_effects", ("unit", "period")),
        options.get("effect", "constant"), options.get("cluster", "cluster"),
    )  # fmt: skip
    counts = panel.frame[outcome].to_numpy(dtype=float)
    without_events = outcome == "injury" and "effect" in options  # left to the general path, which names them
    assert (fit_layout(layout, counts, options.get("correction", "auto")) is None) == without_events
    ours = poisson(panel, outcome, **options)
    monkeypatch.setattr(poisson_fixed_effects, "_by_layout", lambda *_: None)
    theirs = poisson(panel, outcome, **options)
    rows = [[own] if isinstance(own, Estimate) else list(own) for own in (ours, theirs)]
    for own, other in zip(*rows, strict=True):
        assert own.estimate == pytest.approx(other.estimate, abs=1e-11)
        assert own.std_error == pytest.approx(other.std_error, rel=1e-10)
        for field in (
            "term",
            "estimand",
            "inference",
            "warning",
            "n_units",
            "n_clusters",
            "n_events",
            "notes",
        ):
            assert getattr(own, field) == getattr(other, field), field


def test_one_layout_serves_all_outcomes_of_a_panel(frame):
    panel = panel_of(frame)
    kept = [panel_layout(panel, name, ("unit", "period"), "constant", "unit") for name in ("force", "injury")]
    assert kept[0] is kept[1]


@pytest.mark.parametrize(
    ("change", "options"),
    [
        (lambda f: f.assign(squad=np.where(f["month"] > 6, "other", f["squad"])), {}),
        (lambda f: f, {"fixed_effects": ("period",)}),
        (lambda f: f.assign(shifts=1.0 + f["tenure"] % 0.7), {}),
    ],
)
def test_rows_that_cannot_be_settled_beforehand_are_left_to_the_general_path(frame, change, options):
    panel = panel_of(change(frame), "shifts")
    effects = options.get("fixed_effects", ("unit", "period"))
    assert panel_layout(panel, "force", effects, "constant", "cluster") is None
    assert np.isfinite(poisson(panel, "force", correction="CR1", **options).std_error)


def test_an_outcome_with_missing_counts_after_a_complete_one_is_fitted_by_its_rows(frame):
    gaps = frame.assign(injury=frame["injury"].astype(float).where(frame.index % 7 != 0))
    panel = panel_of(gaps)
    poisson(panel, "force", cluster="unit", correction="CR1N")
    second = poisson(panel, "injury", cluster="unit", correction="CR1N")
    alone = poisson(panel_of(gaps), "injury", cluster="unit", correction="CR1N")
    assert (second.estimate, second.std_error) == (alone.estimate, alone.std_error)
    assert second.notes["rows"] <= gaps["injury"].notna().sum()


def test_an_outcome_with_a_missing_count_is_left_to_the_general_path(frame):
    missing = frame.assign(force=frame["force"].astype(float).where(frame.index != 5))
    panel = panel_of(missing)
    arguments = (("unit", "period"), "unit", "CR1", "constant")
    assert poisson_fixed_effects._by_layout(panel, "force", *arguments) is None
    assert poisson_fixed_effects._by_layout(panel, "injury", *arguments) is not None


def rescaled(frame):
    frame["exposure"] = frame["exposure"] * (1 + frame["period"] % 2 * (frame["sequence"] % 2))


def withdrawn(frame):
    frame.loc[frame["period"] == frame["period"].max(), "treated"] = 0.0


def merged(frame):
    squads = sorted(frame["cluster"].unique())
    frame.loc[frame["cluster"] == squads[0], "cluster"] = squads[1]


@pytest.mark.parametrize("edit", [rescaled, withdrawn, merged])
def test_a_frame_that_was_edited_in_place_is_laid_out_anew(frame, edit):
    panel = panel_of(frame)
    before = poisson(panel, "force", correction="CR1")
    edit(panel.frame)
    ours, theirs = (poisson(own, "force", correction="CR1") for own in (panel, replace(panel)))
    assert ours == theirs
    assert (ours.estimate, ours.std_error) != (before.estimate, before.std_error)
