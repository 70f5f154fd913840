"""ArviZ, imported without its announcements, and where nothing may be written."""

import os
import tempfile
import warnings
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
            _import_with_another_cache()
            import arviz
    return arviz


def _import_with_another_cache() -> None:
    cache = os.environ.get("XDG_CACHE_HOME")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        try:
            import arviz  # noqa: F401
        finally:
            if cache is None:
                del os.environ["XDG_CACHE_HOME"]
            else:
                os.environ["XDG_CACHE_HOME"] = cache
