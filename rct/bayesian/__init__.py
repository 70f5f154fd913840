"""Bayesian models of a panel: priors in, draws out."""

from rct.bayesian.agency_fit import agencies, agency_table
from rct.bayesian.evidence_priors import earlier_trials, reference_priors
from rct.bayesian.fitting import fit
from rct.bayesian.laplace_fit import LaplaceFit, laplace
from rct.bayesian.trial_synthesis import Meta, meta

__all__ = [
    "LaplaceFit",
    "Meta",
    "agencies",
    "agency_table",
    "earlier_trials",
    "fit",
    "laplace",
    "meta",
    "reference_priors",
]
