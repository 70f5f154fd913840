"""Say on an interactive terminal what is being waited for."""

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show `what` on stderr until the block ends, where somebody is looking; print nothing anywhere else."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.errors import LiveError

    try:
        with Console(stderr=True).status(f"Bayesian model: {what} …"):
            yield
    except LiveError:  # somebody else's display is on that terminal already
        yield
