"""Bayesian models of a panel: priors in, draws out."""

from rct.bayesian.fitting import fit
from rct.bayesian.trial_synthesis import Meta, meta

__all__ = ["Meta", "fit", "meta"]
