"""Panels whose truth is known."""

from rct.simulation.planning_roster import synthetic_roster
from rct.simulation.simulated_panel import simulate
from rct.simulation.truth import Effects, Truth, declared_truth

__all__ = ["Effects", "Truth", "declared_truth", "simulate", "synthetic_roster"]
