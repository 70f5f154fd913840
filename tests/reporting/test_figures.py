import math
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from rct.reporting.effect_path_plot import PathPoint, draw_effect_path
from rct.reporting.figure_markup import new_figure, svg_markup
from rct.reporting.forest_plot import ForestRow, draw_forest
from rct.reporting.love_plot import LovePoint, draw_love
from rct.reporting.power_plot import PowerBar, draw_power
from rct.reporting.rate_plot import rate_lines, treated_share
from rct.reporting.schedule_picture import draw_schedule, schedule_rows, shown_periods


def written(axes):
    return [text.get_text() for text in axes.texts]


def wedge_frames():
    units = pd.DataFrame({"unit": ["a", "b", "c"], "sequence": [1, 0, 2], "starts": [4, 0, 2]})
    doses = {0: [0, 0, 0, 0], 1: [0, 0, math.nan, 1], 2: [0, 1, 1, 1]}
    rows = [(s, p + 1, "ICAT" if s else "usual", d) for s, path in doses.items() for p, d in enumerate(path)]
    return units, pd.DataFrame(rows, columns=["sequence", "period", "arm", "dose"])


def test_rows_stand_in_the_order_of_crossing_with_the_never_treated_last():
    assert [row.label for row in schedule_rows(*wedge_frames(), noun="units")] == ["c", "a", "b"]


def test_many_units_are_drawn_by_sequence():
    units, sequences = wedge_frames()
    many = pd.concat([units.assign(unit=units["unit"] + str(i)) for i in range(20)], ignore_index=True)
    assert [row.label for row in schedule_rows(many, sequences, noun="officers")] == ["20 officers"] * 3


def test_the_schedule_names_each_arm_and_hatches_transition():
    _, (axes,) = new_figure([2.0])
    draw_schedule(
        axes,
        schedule_rows(*wedge_frames(), noun="units"),
        control="usual",
        period="month",
        period_labels=list("1234"),
    )
    assert set(written(axes)) == {"ICAT", "usual", "transition"}
    assert sum(bar.get_hatch() is not None for bar in axes.collections) == 1
    assert [label.get_text() for label in axes.get_yticklabels()] == ["c", "a", "b"]


@pytest.mark.parametrize(("periods", "shown"), [(4, [1, 2, 3, 4]), (24, [1, 4, 7, 10, 13, 16, 19, 22])])
def test_few_periods_are_labelled_evenly(periods, shown):
    assert shown_periods(periods) == shown


def test_the_forest_plot_places_percents_on_a_ratio_scale():
    _, (axes,) = new_figure([2.0])
    draw_forest(axes, [ForestRow("Force", "Poisson", -50.0, -75.0, 100.0, "primary")])
    interval = next(line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_ydata()[0] == 1)
    assert list(interval.get_xdata()) == pytest.approx([math.log(0.25), math.log(2)])
    assert {"Force", "Poisson"} <= {label.get_text() for label in axes.get_yticklabels()}


def test_a_forest_row_without_limits_has_a_point_and_no_line():
    _, (axes,) = new_figure([2.0])
    draw_forest(axes, [ForestRow("Force", "score", -20.0, math.nan, math.nan, "secondary")])
    assert [len(line.get_xdata()) for line in axes.lines if line.get_marker() == "o"] == [1]
    assert not [line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_ydata()[0] == 1]


def test_limits_beyond_the_picture_end_in_arrows():
    _, (axes,) = new_figure([2.0])
    draw_forest(axes, [ForestRow("Force", "score", -20.0, -100.0, math.inf, "secondary")])
    assert {"<", ">"} <= {line.get_marker() for line in axes.lines}


def test_rates_are_events_by_exposure(panel):
    lines = {line.label: line.rates for line in rate_lines(panel, "force", per=100)}
    frame = panel.frame.query("period == 6 and treated > 0")
    treated = next(rates for label, rates in lines.items() if label.startswith("in training"))
    assert treated[5] == pytest.approx(100 * frame["force"].sum() / frame["exposure"].sum())
    assert np.isnan(treated[:4]).all()


def test_a_group_with_next_to_no_exposure_has_no_rate(panel):
    frame = panel.frame
    lonely = (frame["treated"] > 0) & (frame["period"] == 5)
    thin = replace(panel, frame=frame.assign(exposure=frame["exposure"].where(~lonely, 0.01)))
    treated = next(
        line.rates for line in rate_lines(thin, "force", per=100) if line.label.startswith("in training")
    )
    assert np.isnan(treated[4])
    assert treated[5] > 0


def test_the_treated_share_rises_with_each_crossing(panel):
    assert list(treated_share(panel)) == pytest.approx(
        [0] * 4 + [0.25] * 2 + [0.5] * 2 + [0.75] * 2 + [1] * 2
    )


def test_effect_paths_are_drawn_in_order_of_time():
    _, (axes,) = new_figure([2.0])
    draw_effect_path(
        axes, [PathPoint(2, -5, -9, 1), PathPoint(1, -3, -8, 2)], title="Force", time_label="months"
    )
    points = next(line for line in axes.lines if line.get_marker() == "o")
    assert list(points.get_xdata()) == [1, 2]
    assert list(points.get_ydata()) == pytest.approx([math.log(0.97), math.log(0.95)])


def test_power_bars_carry_their_monte_carlo_error():
    _, (axes,) = new_figure([2.0])
    draw_power(axes, [PowerBar("Force", 0.339, 0.015)])
    assert "34 % (± 3)" in written(axes)


def test_figures_are_inline_svg_with_alt_text_and_ids_of_their_own():
    figure, (axes,) = new_figure([1.0])
    axes.text(0, 0, "<b>$x$</b>", parse_math=False)
    markup = svg_markup(figure, name="one", alt='a "picture" of <b>')
    root = ET.fromstring(markup)
    assert root.get("role") == "img"
    assert root.get("aria-label") == 'a "picture" of <b>'
    assert "<b>" not in markup
    assert "<b>$x$</b>" in [text.text for text in root.iter("text")]
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    assert all(name.startswith("one-") for name in ids)
    links = [value for e in root.iter() for key, value in e.attrib.items() if key == "href"]
    assert all(link.removeprefix("#") in ids for link in links)


def test_a_love_plot_has_a_row_for_each_covariate_and_names_each_group_once():
    _, (axes,) = new_figure([2.0])
    points = [
        LovePoint(name, arm, d)
        for name, arm, d in [("age", "A", 0.3), ("age", "B", -0.1), ("years", "A", 0.0)]
    ]
    assert draw_love(axes, points) is axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["age", "years"]
    assert written(axes) == ["A", "B"]
    marks = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"]
    assert marks == [0.3, -0.1, 0.0]
    assert axes.get_xlim()[1] > 0.3
