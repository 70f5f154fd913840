"""The Bayesian fits: what the posterior says, its priors in words, its checks, and whether to believe it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rct.reporting.figures import Picture, officer_figures, shrinkage_figure
from rct.reporting.number_format import count, decimal, typeset
from rct.reporting.parameter_table import parameter_table
from rct.reporting.posterior_tables import (
    answers_table,
    check_sentences,
    comparison_table,
    predictive_table,
    priors_table,
)
from rct.reporting.table import Table

if TYPE_CHECKING:
    from rct.estimates import Estimates
    from rct.posterior import Posterior
    from rct.reporting.report_units import ReportUnits


@dataclass(frozen=True)
class PosteriorSection:
    """One fit as the report prints it."""

    name: str
    inference: str
    effects: Table
    shrinkage: Picture | None
    comparison: Table | None
    parameters: Table | None
    officers: tuple[Picture, ...]
    priors: tuple[str, ...]
    checks: tuple[str, ...]
    predictive: Table | None
    other_priors: Table | None
    diagnostics: Table
    ok: bool
    failures: tuple[str, ...]


def posterior_sections(results: "Estimates", words: "ReportUnits") -> list[PosteriorSection]:
    """Describe the fits behind the Bayesian rows, in their order."""
    return [
        PosteriorSection(
            name=name,
            inference=posterior.inference,
            effects=answers_table(posterior, words),
            shrinkage=shrinkage_figure(posterior, words, name=f"shrinkage-{number}")
            if posterior.model == "agencies"
            else None,
            comparison=comparison_table(posterior, results, words),
            parameters=parameter_table(posterior, words),
            officers=tuple(officer_figures(posterior, words, name=f"officers-{number}")),
            priors=tuple(typeset(text) for text in posterior.priors_in_words()),
            checks=tuple(typeset(text) for text in check_sentences(posterior, words)),
            predictive=predictive_table(posterior, words),
            other_priors=priors_table(posterior, words),
            diagnostics=_diagnostics(posterior),
            ok=bool(posterior.diagnostics["ok"]),
            failures=tuple(str(failure) for failure in posterior.diagnostics["failures"]),
        )
        for number, (name, posterior) in enumerate(results.posteriors.items(), start=1)
    ]


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
        f"(here {found['divergences']}){_energy(found.get('ebfmi'))}."
    )
    return Table(caption, columns, rows, frozenset(columns[1:]))


def _energy(fraction: float | None) -> str:
    return "" if fraction is None else f", E-BFMI not below 0.3 (here {decimal(fraction)})"
