"""Bayesian models of a panel: priors in, draws out."""

from rct.bayesian.agency_fit import agencies, agency_table
from rct.bayesian.checked_fit import check_fit
from rct.bayesian.evidence_priors import earlier_trials, reference_priors
from rct.bayesian.fitting import fit
from rct.bayesian.laplace_fit import LaplaceFit, laplace
from rct.bayesian.officer_rates import officer_effects
from rct.bayesian.stated_in_pymc import pymc_model
from rct.bayesian.trial_synthesis import Meta, meta

__all__ = [
    "LaplaceFit",
    "Meta",
    "agencies",
    "agency_table",
    "check_fit",
    "earlier_trials",
    "fit",
    "laplace",
    "meta",
    "officer_effects",
    "pymc_model",
    "reference_priors",
]
