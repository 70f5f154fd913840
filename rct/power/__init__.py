"""Power of a declared trial: closed forms, and simulation of the very trial."""

from rct.power.detectable_effect import Detectable, detectable
from rct.power.learned_assumptions import learn
from rct.power.trial_power import Power, cannot_work, simulate
from rct.power.two_rates import RatesPower, rates

__all__ = [
    "Detectable",
    "Power",
    "RatesPower",
    "cannot_work",
    "detectable",
    "learn",
    "rates",
    "simulate",
]
