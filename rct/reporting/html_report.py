"""The report: one HTML file that needs nothing beside it, and the same bytes for the same inputs."""

import os
import re
import tempfile
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rct.errors import EstimationError

if TYPE_CHECKING:
    import pandas as pd
    from markupsafe import Markup

    from rct.estimates import Estimates
    from rct.panel import Panel
    from rct.power import Power
    from rct.randomization import Allocation
    from rct.trial import Trial


def report(
    trial: "Trial",
    results: "Estimates",
    *,
    panel: "Panel | None" = None,
    allocation: "Allocation | None" = None,
    path: str | PathLike[str] = "report.html",
    power: "Power | None" = None,
    courses: "pd.DataFrame | None" = None,
) -> Path:
    """Write the report of a trial as one self-contained HTML file.

    Parameters
    ----------
    trial : Trial
        The declaration; where it differs from the copy kept with the allocation, the report says so.
    results : Estimates
    panel : Panel, optional
        Adds observed rates, balance and data quality.
    allocation : Allocation, optional
        Adds the allocation, its probabilities and its verification.
    path : str or path
        The file to write; it appears whole or not at all, and its folder is made where there is none.
    power : Power, optional
        Adds the power of the declared design.
    courses : pandas.DataFrame, optional
        Adds the two answers of a staged roll-out under several courses of the effect, as
        `rct.power.two_answers` gives them.

    Returns
    -------
    pathlib.Path
        The file written.

    Raises
    ------
    EstimationError
        When there are no estimates to report.
    DataError
        When estimates, panel or allocation are of another design or of another randomization.
    """
    from rct.reporting.provenance import require_one_trial

    if not len(results):
        raise EstimationError("there are no estimates to report; run rct.estimate (or `rct estimate`) first")
    require_one_trial(trial, results, panel, allocation)
    page = _rendered(_context(trial, results, panel, allocation, power, courses))
    return _written_whole(page, Path(path))


def _context(
    trial: "Trial",
    results: "Estimates",
    panel: "Panel | None",
    allocation: "Allocation | None",
    power: "Power | None",
    courses: "pd.DataFrame | None",
) -> dict[str, Any]:
    from rct.reporting import sections
    from rct.reporting.analyses import primary_rows
    from rct.reporting.assignment import read_assignment
    from rct.reporting.methods_text import methods_text
    from rct.reporting.posterior_section import posterior_sections
    from rct.reporting.provenance import amended_tables, hashes_table, mismatches, versions_table
    from rct.reporting.report_units import report_units
    from rct.reporting.warning_box import warning_groups

    words = report_units(trial)
    assignment = read_assignment(trial, panel, allocation)
    rows = list(results)
    primary = primary_rows(rows)
    return {
        "trial": trial,
        "simulated": any(made.meta.get("simulated", False) for made in (results, panel) if made is not None),
        "truth": sections.simulated_truth(panel, words),
        "headline": sections.headline_section(primary, words, alpha=trial.analysis.alpha),
        "design": sections.design_section(
            trial, words, panel=panel, allocation=allocation, assignment=assignment
        ),
        "effects": sections.effects_section(rows, primary, words, kind=trial.schedule.kind),
        "rates": sections.rates_section(panel, assignment, words),
        "posteriors": posterior_sections(results, words),
        "power": sections.power_section(power, words),
        "courses": sections.courses_section(courses, trial, words),
        "data": sections.data_section(panel, words),
        "mismatches": mismatches(trial, results, panel),
        "warnings": warning_groups(rows, words),
        "methods": methods_text(
            trial, results, words, panel=panel, allocation=allocation, assignment=assignment
        ),
        "amended": amended_tables(trial, allocation),
        "hashes": hashes_table(trial, results, panel, allocation),
        "versions": versions_table(),
    }


def _rendered(context: dict[str, Any]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from rct.reporting.number_format import typeset

    environment = Environment(
        loader=PackageLoader("rct.reporting", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"unbroken": _unbroken, "typeset": typeset}
    return environment.get_template("report.html.j2").render(context)


def _unbroken(sentence: str) -> "Markup":
    """Keep figures with their units, and p-values, on one line."""
    from markupsafe import Markup, escape

    marked = r'<span class="unbroken">\g<0></span>'
    return Markup(re.sub(r"p (?:=|&lt;) \.?\d+|\d[\d.,]* %", marked, str(escape(sentence))))


def _written_whole(page: str, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
    scratch = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(page)
        scratch.chmod(0o644)
        scratch.replace(target)
    finally:
        scratch.unlink(missing_ok=True)
    return target
