"""The reference pages say what the code does: every key, every column, and the bytes of an allocation."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal, get_args

import pandas as pd
import pytest
import typer
from pydantic import BaseModel

import rct
from rct.cli.app import app
from rct.estimates import COLUMNS
from rct.randomization.certificate_schema import json_schema
from rct.trial import Trial
from rct.trial_tables import Course, Treatment

CHECKOUT = Path(__file__).parent.parent
DOCS = CHECKOUT / "docs"
PAGES = [CHECKOUT / "README.md", *sorted(DOCS.glob("*.md"))]

VECTORS = CHECKOUT / "tests" / "randomization" / "allocation_vectors.json"
CASES = json.loads(VECTORS.read_text(encoding="utf-8"))["cases"]


@pytest.fixture(scope="module")
def derivation() -> dict[str, Any]:
    """Give the functions that the page on allocation bytes shows."""
    page = (DOCS / "allocation-bytes.md").read_text(encoding="utf-8")
    namespace: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL):
        exec(block, namespace)
    return namespace


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_derivation_shown_gives_what_other_programs_computed(
    derivation: dict[str, Any], case: dict[str, Any]
) -> None:
    units = [{"unit": unit["id"], "block": unit["block"]} for unit in case["units"]]
    certificate = {"seed": case["seed"], "design": case["design"], "units": units}
    found = {}
    for name, counts in case["counts"].items():
        block = name.split("/") if name else []
        if case["shares"]:
            assert derivation["counts"](certificate, block, sum(counts), case["shares"]) == counts
        found |= derivation["sequences"](certificate, block, counts)
    assert found == case["sequence"]


def test_the_derivation_shown_gives_what_rct_wrote(derivation: dict[str, Any], tmp_path: Path) -> None:
    trial = rct.load("louisville_icat")
    divisions = [f"Division {1 + i % 9}" for i in range(18)]
    roster = pd.DataFrame({"officer_id": [f"{i:03d}" for i in range(18)], "division": divisions})
    allocation = rct.randomize(trial, roster, seed="a drawing in public")
    allocation.write(tmp_path / "allocation")
    certificate = json.loads((tmp_path / "allocation" / "certificate.json").read_text(encoding="utf-8"))
    (block,) = certificate["blocks"]
    found = derivation["sequences"](certificate, block["values"], block["counts"])
    assert found == dict(zip(allocation.frame["unit"], allocation.frame["sequence"], strict=True))


def test_the_python_of_the_tutorial_runs() -> None:
    page = (DOCS / "tutorial.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    namespace: dict[str, Any] = {}
    for block in blocks:
        exec(block, namespace)
    assert namespace["own"].outcomes == ("force",)
    assert namespace["one"].n_clusters == 9


def test_the_closed_forms_come_out_as_their_page_says() -> None:
    page = (DOCS / "closed-form-power.md").read_text(encoding="utf-8")
    said: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL):
        exec(block, said)
    assert round(said["plan"].power, 3) == 0.356
    assert round(said["better"].power, 3) == 0.500
    assert round(said["honest"].power, 3) == 0.197
    assert round(said["honest"].variance / said["plan"].variance, 1) == 2.1


def test_the_five_randomizations_come_out_as_their_page_says() -> None:
    page = (DOCS / "randomize.md").read_text(encoding="utf-8")
    said: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL):
        exec(block, said)
    assert said["divisions"].space == 362_880
    assert said["pairs"].space == 256
    assert said["trained"].groupby(["squad", "starts"]).size().max() == 2
    assert set(said["classes"].probabilities.loc[:, 1:].to_numpy().ravel()) == {12 / 72}
    assert said["worn"].frame.groupby("arm").size().to_dict() == {"camera": 168, "no camera": 168}
    found = said["shifts"].frame.query("force > 0")["unit"].tolist()
    assert found == ["2026-03-01 19:00 North", "2026-03-02 19:00 South"]
    assert len(said["simulated"].frame) == 336
    assert said["ledger"].frame.groupby("arm").size().tolist() == [4, 4]
    assert (said["again"].sum(axis=1) == 4).all()
    assert said["given"].probabilities.iloc[0].tolist() == [0.4, 0.2, 0.2, 0.2]


def test_the_python_of_the_power_page_runs() -> None:
    page = (DOCS / "power.md").read_text(encoding="utf-8")
    said: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL):
        exec(block, said)
    assert said["found"].verdicts[0].startswith("With 600 officers and 30 use-of-force incidents a month")
    assert said["enough"].low <= said["enough"].number <= said["enough"].high
    assert len(said["curves"]) == 12


def test_names_written_in_full_are_found_after_import_rct() -> None:
    """As a reader types them: in a fresh interpreter that has imported nothing but rct."""
    names = {
        name for page in PAGES for name in re.findall(r"`(rct(?:\.\w+)+)\(", page.read_text(encoding="utf-8"))
    }
    assert "rct.randomization.acceptance_threshold" in names
    code = "import sys, rct\nfrom operator import attrgetter\n[attrgetter(n[4:])(rct) for n in sys.argv[1:]]"
    subprocess.run([sys.executable, "-c", code, *sorted(names)], check=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_shown_are_commands_that_exist(page: Path) -> None:
    lines = re.findall(r"^(?:    |\$ )(rct [a-z].*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    verbs = typer.main.get_command(app).commands
    for line in lines:
        _, verb, *arguments = shlex.split(line, comments=True)
        known = {option for parameter in verbs[verb].params for option in parameter.opts}
        needed = {
            parameter.opts[0]
            for parameter in verbs[verb].params
            if parameter.required and parameter.param_type_name == "option"
        }
        given = {argument for argument in arguments if argument.startswith("--")}
        assert given <= known, line
        assert needed <= given, line


def keys_under(page: str, heading: str) -> list[str]:
    section = page.split(f"\n{heading}\n", 1)[1].split("\n#", 1)[0]
    return re.findall(r"^\| `([a-z_]+)` \|", section, flags=re.MULTILINE)


def tables(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """Give the model of each table of a trial file, by the heading it has on the page."""
    found = {}
    for name, field in model.model_fields.items():
        inner = [kind for kind in (field.annotation, *get_args(field.annotation)) if isinstance(kind, type)]
        models = [kind for kind in inner if issubclass(kind, BaseModel)]
        if models:
            found[f"## `[[{name}]]`" if models[0] is not field.annotation else f"## `[{name}]`"] = models[0]
    return found


def test_the_trial_file_page_lists_every_key_in_the_order_of_the_code() -> None:
    page = (DOCS / "trial-file.md").read_text(encoding="utf-8")
    models = {**tables(Trial), "### Tables in `treatments`": Treatment, "### The table `course`": Course}
    assert len(models) == 10
    assert {heading: keys_under(page, heading) for heading in models} == {
        heading: list(model.model_fields) for heading, model in models.items()
    }


def test_the_trial_file_page_says_which_keys_are_required() -> None:
    page = (DOCS / "trial-file.md").read_text(encoding="utf-8")
    for heading, model in tables(Trial).items():
        section = page.split(f"\n{heading}\n", 1)[1].split("\n#", 1)[0]
        required = re.findall(r"^\| `([a-z_]+)` \| – \|", section, flags=re.MULTILINE)
        assert required == [name for name, field in model.model_fields.items() if field.is_required()]


def test_the_estimates_page_explains_every_column() -> None:
    page = (DOCS / "estimates.md").read_text(encoding="utf-8")
    cells = " ".join(line.split("|")[1] for line in page.splitlines() if line.startswith("| `"))
    assert sorted(re.findall(r"`([a-z_]+)`", cells)) == sorted(COLUMNS)


@pytest.mark.parametrize("of", ["certificate", "commitment"])
def test_the_certificate_page_says_what_the_schema_says(of: Literal["certificate", "commitment"]) -> None:
    page = (DOCS / "certificate.md").read_text(encoding="utf-8")
    section = page.split(f"\n## Keys of a {of}\n", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| `([a-z_]+)` \| (.*) \|$", section, flags=re.MULTILINE)
    properties = json_schema(of)["properties"]
    assert rows == [(key, place["description"]) for key, place in properties.items()]
