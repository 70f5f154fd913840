"""The Bayesian fits: priors in words, what the posterior says, and whether the chains can be believed."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rct.reporting.number_format import count, decimal, percent_with_interval, probability, typeset
from rct.reporting.table import Table

if TYPE_CHECKING:
    from rct.estimates import Estimates
    from rct.posterior import Posterior
    from rct.reporting.report_units import ReportUnits

NOTABLE = 0.9


@dataclass(frozen=True)
class PosteriorSection:
    """One fit as the report prints it."""

    name: str
    inference: str
    effects: Table
    priors: tuple[str, ...]
    diagnostics: Table
    ok: bool
    failures: tuple[str, ...]


def posterior_sections(results: "Estimates", words: "ReportUnits") -> list[PosteriorSection]:
    """Describe the fits behind the Bayesian rows, in their order."""
    return [
        PosteriorSection(
            name=name,
            inference=posterior.inference,
            effects=_effects(posterior, words),
            priors=tuple(typeset(text) for text in posterior.priors_in_words()),
            diagnostics=_diagnostics(posterior),
            ok=bool(posterior.diagnostics["ok"]),
            failures=tuple(str(failure) for failure in posterior.diagnostics["failures"]),
        )
        for name, posterior in results.posteriors.items()
    ]


def _effects(posterior: "Posterior", words: "ReportUnits") -> Table:
    several = len(posterior.arms) > 1
    rows = []
    for row in posterior.frame.to_dict("records"):
        label, arm = words.label(row["outcome"]), row["arm"]
        low, high = (100 * math.expm1(row[end]) for end in ("conf_low", "conf_high"))
        rows.append(
            (
                f"{label}, {arm}" if several else label,
                percent_with_interval(row["percent_change"], low, high),
                probability(row["probability_reduced"]),
                probability(posterior.probability(row["outcome"], arm=arm, below=NOTABLE)),
            )
        )
    columns = ("outcome", "percent change", "P(reduction)", "P(reduction of more than 10 %)")
    caption = f"What the posterior says. Intervals hold {100 * posterior.level:g} % of its probability."
    return Table(caption, columns, tuple(rows), frozenset(columns[1:]))


def _diagnostics(posterior: "Posterior") -> Table:
    found = posterior.diagnostics
    columns = ("variable", "R-hat", "effective draws (bulk)", "effective draws (tails)")
    rows = tuple(
        (
            variable.replace("_", " "),
            decimal(rhat, decimals=3),
            count(round(found["ess_bulk"][variable])),
            count(round(found["ess_tail"][variable])),
        )
        for variable, rhat in found["rhat"].items()
    )
    caption = (
        f"Whether the chains agree: R-hat near 1, effective draws in the hundreds or more, no divergences "
        f"(here {found['divergences']})."
    )
    return Table(caption, columns, rows, frozenset(columns[1:]))
