"""ArviZ, imported without its announcements, and where nothing may be written."""

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def import_arviz() -> Any:
    """Import ArviZ, and with it what nutpie and PyMC import of it.

    Before version 1 it announces that version once a day, and fails where it cannot note down in the user's
    cache that it has; or where another process notes the same.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, module="arviz")
        try:
            import arviz
        except OSError:
            with tempfile.TemporaryDirectory() as folder, environment("XDG_CACHE_HOME", folder):
                import arviz
    return arviz


@contextmanager
def environment(name: str, value: str) -> Iterator[None]:
    """Set a variable of the environment for a while; afterwards it is as before."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
