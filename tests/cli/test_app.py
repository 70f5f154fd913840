import json
import os
import shlex
import subprocess
import sys

import pytest
import typer

from rct.cli.app import VERBS, app
from rct.errors import DataError

EXAMPLES = {verb.__name__: example for verb, _, example in VERBS}
PRINTS_A_RESULT = [name for name in EXAMPLES if name != "schema"]


def rct_process(*words, **environment):
    command = [sys.executable, "-m", "rct", *words]
    return subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )


@pytest.mark.parametrize("verb", EXAMPLES)
def test_the_help_of_every_verb_has_a_worked_example(verb, rct_command):
    said = rct_command(verb, "--help")
    assert said.code == 0
    assert EXAMPLES[verb] in " ".join(said.out.split())


@pytest.mark.parametrize("verb", EXAMPLES)
def test_the_worked_example_is_understood(verb):
    words = shlex.split(EXAMPLES[verb].split(" >")[0])
    assert words[:2] == ["rct", verb]
    typer.main.get_command(app).commands[verb].make_context(verb, words[2:])


@pytest.mark.parametrize("verb", PRINTS_A_RESULT)
def test_every_verb_that_prints_a_result_prints_it_as_json_too(verb, rct_command):
    assert "--json" in rct_command(verb, "--help").out


def test_later_verbs_and_options_are_not_listed_yet(rct_command):
    words = "\n".join(rct_command(*words, "--help").out for words in ((), ("power",), ("new",)))
    assert [later for later in ("--from-records",) if later in words] == []


def test_rct_without_a_verb_shows_its_help(rct_command):
    assert "demo" in rct_command().out


def test_an_error_is_one_sentence_on_stderr_without_a_traceback(rct_command):
    said = rct_command("check", "nowhere.toml")
    assert said.code == 2
    assert said.out == ""
    assert said.err.startswith("error: nowhere.toml: there is no such file")
    assert "Traceback" not in said.err


def test_square_brackets_in_an_error_are_printed_as_they_are(rct_command, monkeypatch):
    def refuse() -> None:
        raise DataError("the table [/power] is odd")

    monkeypatch.setattr("rct.designs", refuse, raising=False)
    assert "the table [/power] is odd" in rct_command("designs").err


def test_an_interrupted_command_exits_with_130(rct_command, monkeypatch):
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("rct.designs", interrupt, raising=False)
    assert rct_command("designs").code == 130


def test_python_m_rct_runs_the_command_line():
    done = rct_process("designs", "--json")
    assert done.returncode == 0, done.stderr
    names = [design["name"] for design in json.loads(done.stdout)["designs"]]
    assert "louisville_icat" in names


def test_no_color_is_respected(rct_command, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "")
    assert "\x1b[33m" in rct_command("check", "louisville_icat").out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[33m" not in rct_command("check", "louisville_icat").out


def test_the_help_imports_no_heavy_library():
    program = "import sys; sys.argv = ['rct', '--help']\nfrom rct.cli import main\n"
    program += "try: main()\nexcept SystemExit: pass\n"
    program += "print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heavy = {
        "arviz",
        "duckdb",
        "jinja2",
        "matplotlib",
        "numpy",
        "nutpie",
        "pandas",
        "pyarrow",
        "pydantic",
        "pymc",
        "scipy",
    }
    assert heavy & set(done.stderr.split()) == set()


def test_the_version_is_printed(rct_command):
    from rct import __version__

    assert rct_command("--version").out == f"rct {__version__}\n"
