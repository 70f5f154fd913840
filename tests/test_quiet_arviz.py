"""ArviZ is imported without a word, also where there is no home to write to."""

import os
import subprocess
import sys

import matplotlib

SCRIPT = """
import os
from rct.quiet_arviz import import_arviz
print(import_arviz().__name__, "XDG_CACHE_HOME" in os.environ)
"""


def test_arviz_is_imported_without_its_announcement_and_without_a_home(tmp_path):
    home = tmp_path / "file"
    home.touch()
    own = {"HOME": str(home), "MPLCONFIGDIR": matplotlib.get_cachedir()}
    environment = {k: v for k, v in os.environ.items() if k != "XDG_CACHE_HOME"} | own
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("arviz False\n", "")
