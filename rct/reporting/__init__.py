"""Estimates → figures, tables and one HTML file that a chief and a statistician can both read."""

from rct.reporting.effect_path_plot import draw_effect_path
from rct.reporting.forest_plot import draw_forest
from rct.reporting.html_report import report
from rct.reporting.power_plot import draw_power
from rct.reporting.rate_plot import draw_rates, draw_treated_share
from rct.reporting.schedule_picture import draw_schedule

__all__ = [
    "draw_effect_path",
    "draw_forest",
    "draw_power",
    "draw_rates",
    "draw_schedule",
    "draw_treated_share",
    "report",
]
