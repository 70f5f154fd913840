"""Write constraints.txt from environments of every supported line of Python.

    python tools/pin.py .venv-3.11/bin/python .venv-3.12/bin/python .venv-3.13/bin/python > constraints.txt

Each environment holds the package with all its extras. A version that differs between lines gets a
``python_version`` marker; the lines are 3.11 and everything newer, and environments newer than
3.11 must agree with each other.
"""

import subprocess
import sys

OLD, NEW = 'python_version < "3.12"', 'python_version >= "3.12"'


def installed(python: str) -> tuple[str, dict[str, str]]:
    """Give the line an environment belongs to and its versions by distribution."""
    line = subprocess.check_output([python, "-c", "import sys; print(sys.version_info < (3, 12))"], text=True)
    listing = subprocess.check_output([python, "-m", "pip", "freeze", "--exclude-editable"], text=True)
    pairs = (entry.split("==") for entry in listing.splitlines())
    return OLD if line.strip() == "True" else NEW, {name.lower().replace("_", "-"): v for name, v in pairs}


def merged(environments: list[tuple[str, dict[str, str]]]) -> list[str]:
    """Give one line per distribution, or one per version and line of Python where they differ."""
    lines = []
    for name in sorted({name for _, versions in environments for name in versions}):
        found = {(marker, versions[name]) for marker, versions in environments if name in versions}
        if len({marker for marker, _ in found}) < len(found):
            raise SystemExit(f"{name}: environments of one line hold different versions: {sorted(found)}")
        if len({version for _, version in found}) == 1:
            lines.append(f"{name}=={next(iter(found))[1]}")
        else:
            lines += [f"{name}=={version} ; {marker}" for marker, version in sorted(found)]
    return lines


if __name__ == "__main__":
    print("\n".join(merged([installed(python) for python in sys.argv[1:]])))
