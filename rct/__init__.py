"""Randomized controlled trials of police training, from one declaration to the report.

The nouns (`Trial`, `Allocation`, `Panel`, `Estimate`, `Estimates`, `Posterior`) and the verbs that
join them (`load`, `commit`, `randomize`, `verify`, `simulate`, `build_panel`, `estimate`, `report`) are
imported when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rct import bayesian, errors, frequentist, power, randomization
    from rct.analysis import estimate
    from rct.errors import (
        AllocationError,
        ConvergenceError,
        DataError,
        EstimationError,
        RctError,
        TrialError,
    )
    from rct.estimates import Estimate, Estimates
    from rct.panel import Panel
    from rct.posterior import Posterior
    from rct.randomization import Allocation, Commitment, commit, randomize, read_roster, verify
    from rct.records import build_panel
    from rct.reporting import report
    from rct.simulation import simulate
    from rct.trial import Trial, designs, load

__version__ = "0.1.0"

_HOME = {
    "Allocation": "rct.randomization",
    "AllocationError": "rct.errors",
    "Commitment": "rct.randomization",
    "ConvergenceError": "rct.errors",
    "DataError": "rct.errors",
    "Estimate": "rct.estimates",
    "Estimates": "rct.estimates",
    "EstimationError": "rct.errors",
    "Panel": "rct.panel",
    "Posterior": "rct.posterior",
    "RctError": "rct.errors",
    "Trial": "rct.trial",
    "TrialError": "rct.errors",
    "build_panel": "rct.records",
    "commit": "rct.randomization",
    "designs": "rct.trial",
    "estimate": "rct.analysis",
    "load": "rct.trial",
    "randomize": "rct.randomization",
    "read_roster": "rct.randomization",
    "report": "rct.reporting",
    "simulate": "rct.simulation",
    "verify": "rct.randomization",
}
_ROOMS = ("bayesian", "errors", "frequentist", "power", "randomization")

__all__ = [
    "Allocation",
    "AllocationError",
    "Commitment",
    "ConvergenceError",
    "DataError",
    "Estimate",
    "Estimates",
    "EstimationError",
    "Panel",
    "Posterior",
    "RctError",
    "Trial",
    "TrialError",
    "bayesian",
    "build_panel",
    "commit",
    "designs",
    "errors",
    "estimate",
    "frequentist",
    "load",
    "power",
    "randomization",
    "randomize",
    "read_roster",
    "report",
    "simulate",
    "verify",
]


def __getattr__(name: str) -> object:
    if name in _ROOMS:
        return import_module(f"rct.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'rct' has no attribute {name!r}")
    found: object = getattr(import_module(_HOME[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
