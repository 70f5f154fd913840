"""Power of a declared trial: closed forms, and simulation of the very trial."""

from rct.power.design_comparison import compare_designs
from rct.power.detectable_effect import Detectable, detectable
from rct.power.learned_assumptions import learn
from rct.power.power_curve import curve
from rct.power.prior_power import Assurance, assurance
from rct.power.sequential_study import Monitoring, monitor
from rct.power.sufficient_study import Sufficient, smallest_study
from rct.power.trial_power import Power, cannot_work, simulate
from rct.power.two_rates import RatesPower, rates
from rct.power.wedge_answers import two_answers

__all__ = [
    "Assurance",
    "Detectable",
    "Monitoring",
    "Power",
    "RatesPower",
    "Sufficient",
    "assurance",
    "cannot_work",
    "compare_designs",
    "curve",
    "detectable",
    "learn",
    "monitor",
    "rates",
    "simulate",
    "smallest_study",
    "two_answers",
]
