"""Panels whose truth is known."""

from rct.simulation.declared_truth import Effects, Truth, declared_truth
from rct.simulation.simulated_panel import simulate
from rct.simulation.synthetic_roster import synthetic_roster

__all__ = ["Effects", "Truth", "declared_truth", "simulate", "synthetic_roster"]
