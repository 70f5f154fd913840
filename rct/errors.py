"""The errors of rct: every one a sentence that says what is wrong, where, and how to mend it."""


class RctError(Exception):
    """Something the user can mend; the command line prints the message and exits with 2."""


class TrialError(RctError):
    """The trial file promises something that cannot be, or that rct does not know."""


class DataError(RctError):
    """A roster, panel or file of records that cannot be read as declared."""


class AllocationError(RctError):
    """A randomization that cannot be carried out, or that differs from what is claimed of it."""


class EstimationError(RctError):
    """A design or sample in which the asked effect or its uncertainty does not exist."""


class ConvergenceError(EstimationError):
    """A fit that did not reach its optimum, or a sampler whose draws are not to be believed."""
