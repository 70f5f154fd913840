"""Power of a declared trial: closed forms, and simulation of the very trial."""

from rct.power.detectable_effect import Detectable, detectable
from rct.power.trial_power import Power, simulate
from rct.power.two_rates import RatesPower, rates

__all__ = ["Detectable", "Power", "RatesPower", "detectable", "rates", "simulate"]
