"""The wheel works in an empty environment outside the checkout, shipped trials included."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent


def run(*command: str | Path, cwd: Path) -> str:
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("elsewhere")


@pytest.fixture(scope="module")
def installed(elsewhere: Path) -> Path:
    """Give the folder of commands of a new environment that holds the wheel, not the checkout."""
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", elsewhere / "dist", cwd=CHECKOUT)
    (wheel,) = (elsewhere / "dist").glob("*.whl")
    environment = elsewhere / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", environment, cwd=elsewhere)
    commands = environment / ("Scripts" if os.name == "nt" else "bin")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", commands / "python"]
    run(*pip, "install", "-q", "--no-deps", "--no-index", wheel, cwd=elsewhere)
    borrow_dependencies(commands / "python", cwd=elsewhere)
    return commands


def borrow_dependencies(python: Path, *, cwd: Path) -> None:
    """Put this environment's packages on the new one's path, but not its .pth files: no editable rct."""
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(run(python, "-c", ask, cwd=cwd).strip())
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")


def test_rct_is_imported_from_the_wheel(installed: Path, elsewhere: Path) -> None:
    where = run(installed / "python", "-c", "import rct; print(rct.__file__)", cwd=elsewhere)
    assert Path(where.strip()).is_relative_to(installed.parent)


def test_the_wheel_brings_the_shipped_trials(installed: Path, elsewhere: Path) -> None:
    names = run(installed / "rct", "designs", cwd=elsewhere)
    shipped = [path.stem for path in (CHECKOUT / "designs").glob("*.toml")]
    assert shipped
    assert [name for name in shipped if name not in names] == []


def test_the_demo_runs_from_the_wheel(installed: Path, elsewhere: Path) -> None:
    said = run(installed / "rct", "demo", "--quick", "--out", elsewhere / "demo", cwd=elsewhere)
    (report,) = (elsewhere / "demo").rglob("report.html")
    assert str(report.name) in said
    assert "simulated" in report.read_text(encoding="utf-8").lower()
