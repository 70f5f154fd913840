"""Bayesian models of a panel: priors in, draws out."""

from rct.bayesian.fitting import fit

__all__ = ["fit"]
