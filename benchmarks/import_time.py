"""Time `import rct` and `rct --help` in fresh processes beside `import pandas`.

    .venv/bin/python benchmarks/import_time.py

The start of an empty interpreter is taken off the imports, not off the command: a person waits for
all of it.
"""

import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 11
COMMANDS = {
    "empty interpreter": [sys.executable, "-c", "pass"],
    "import rct": [sys.executable, "-c", "import rct"],
    "import pandas": [sys.executable, "-c", "import pandas"],
    "rct --help": [str(Path(sys.executable).parent / "rct"), "--help"],
}
LIMITS = {"import rct": 0.3, "rct --help": 0.5}


def seconds(command: list[str]) -> float:
    """Give the median wall time of a command over fresh processes, after one warm-up."""
    times = []
    for _ in range(RUNS + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def main() -> None:
    times = {name: seconds(command) for name, command in COMMANDS.items()}
    for name in ("import rct", "import pandas"):
        times[name] -= times["empty interpreter"]
    print(f"Python {platform.python_version()}, {platform.machine()}; median of {RUNS} fresh processes")
    for name, took in times.items():
        limit = f", limit {LIMITS[name]} s" if name in LIMITS else ""
        print(f"{name:>18}  {took:6.3f} s  {took / times['import pandas']:6.3f} x import pandas{limit}")


if __name__ == "__main__":
    main()
