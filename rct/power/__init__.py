"""Power of a declared trial: closed forms, and simulation of the very trial."""

from rct.power.two_rates import RatesPower, rates

__all__ = ["RatesPower", "rates"]
