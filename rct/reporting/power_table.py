"""The power of the declared design as rows of tables and bars of a figure."""

from typing import TYPE_CHECKING

from rct.reporting.analyses import promised_name
from rct.reporting.number_format import count, decimal, percent, share
from rct.reporting.power_plot import PowerBar
from rct.reporting.table import Table

if TYPE_CHECKING:
    import pandas as pd

    from rct.power import Power
    from rct.reporting.report_units import ReportUnits

KNOWN = frozenset({"outcome", "effect", "power", "mc_error", "bias", "coverage", "type_s", "type_m"})


def power_bars(power: "Power", words: "ReportUnits") -> list[PowerBar]:
    """Give one bar for each outcome, effect and analysis."""
    frame = power.frame
    labels = _labels(frame, words)
    return [
        PowerBar(label, float(row["power"]), float(row["mc_error"]))
        for label, (_, row) in zip(labels, frame.iterrows(), strict=True)
    ]


def power_table(power: "Power", words: "ReportUnits") -> Table:
    """List power with its Monte-Carlo error, and how estimates of that size go wrong."""
    columns = (
        "assumption", "power", "Monte-Carlo error", "false positives", "interval excludes no change", "bias",
        "coverage", "type S", "type M", "failed",
    )  # fmt: skip
    frame = power.frame
    rows = tuple(
        (
            label,
            share(float(row["power"])),
            share(float(row["mc_error"])),
            share(float(row["false_positive"])),
            share(float(row["excludes_null"])),
            decimal(float(row["bias"]), decimals=3),
            share(float(row["coverage"])),
            share(float(row["type_s"])),
            decimal(float(row["type_m"]), decimals=2),
            count(float(row["failed"])),
        )
        for label, (_, row) in zip(_labels(frame, words), frame.iterrows(), strict=True)
    )
    caption = (
        "Simulated trials of this design. False positives: share of significant results where there is no "
        "effect. Type S: share of significant results with the wrong sign. Type M: "
        "by how much a significant estimate overstates the true effect, on average. Bias is on the scale of "
        "the estimate. Failed: simulated trials that could not be estimated, counted as not significant."
    )
    return Table(caption, columns, rows, frozenset(columns[1:]))


def courses_table(courses: "pd.DataFrame", words: "ReportUnits") -> Table:
    """List both answers of a staged roll-out under several courses of the effect."""
    figures = (
        "mean effect",
        "p ≤ alpha",
        "± (simulation)",
        "interval excludes no change",
        "bias",
        "coverage",
    )
    rows = tuple(
        (
            f"{words.label(str(row['outcome']))}, {row['course']}",
            promised_name(row["answer"]),
            percent(100 * (float(row["mean_effect"]) - 1)),
            share(float(row["power"])),
            share(float(row["mc_error"])),
            share(float(row["excludes_null"])),
            decimal(float(row["bias"]), decimals=3),
            share(float(row["coverage"])),
        )
        for _, own in courses.groupby("outcome", sort=False)
        for row in own.to_dict("records")
    )
    caption = (
        f"{courses['sims'].iloc[0]:,} simulated trials of each course. Mean effect: the true change, "
        "averaged over the window of exposure times. p ≤ alpha: how often the test by re-randomization is "
        "significant. Bias (log scale) and coverage are for that mean, also of the constant effect, which is "
        "another quantity wherever the effect changes with time in training."
    )
    return Table(caption, ("outcome and course", "answer", *figures), rows, frozenset(figures))


def _labels(frame: "pd.DataFrame", words: "ReportUnits") -> list[str]:
    """Name outcome and effect, and whatever text columns tell the rows apart besides."""
    extra = [
        name
        for name in frame.columns
        if name not in KNOWN and frame[name].dtype == "str" and frame[name].nunique() > 1
    ]
    return [
        ", ".join(
            [words.label(str(row["outcome"])), percent(100 * (float(row["effect"]) - 1))]
            + [
                promised_name(row[name]) if name == "analysis" else str(row[name])
                for name in extra
                if row[name]
            ]
        )
        for _, row in frame.iterrows()
    ]
