"""The lines of the documentation in JavaScript and R give what other programs computed."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).parent.parent
PAGE = (CHECKOUT / "docs" / "allocation-bytes.md").read_text(encoding="utf-8")
VECTORS = CHECKOUT / "tests" / "randomization" / "allocation_vectors.json"
CASES = json.loads(VECTORS.read_text(encoding="utf-8"))["cases"]

IN_JAVASCRIPT = """
const cases = JSON.parse(require("node:fs").readFileSync(process.argv[2]));
const found = cases.map((c) => c.blocks.map((b) => sequences(c, b.values, b.counts)));
console.log(JSON.stringify(found.map((blocks) => Object.assign({}, ...blocks))));
"""
IN_R = """
cases <- jsonlite::fromJSON(commandArgs(TRUE)[1], simplifyVector = FALSE)
of_case <- function(c) unlist(lapply(c$blocks, function(b) sequences(c, b$values, b$counts)))
found <- lapply(cases, function(c) as.list(of_case(c)))
cat(jsonlite::toJSON(found, auto_unbox = TRUE))
"""


def shown(language: str) -> str:
    """Give the lines that the page shows in a language."""
    return "\n".join(re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL))


def certificates() -> list[dict[str, Any]]:
    """Give the cases in the shape of certificates."""
    return [
        {
            "seed": case["seed"],
            "design": case["design"],
            "units": [{"unit": unit["id"], "block": unit["block"]} for unit in case["units"]],
            "blocks": [
                {"values": name.split("/") if name else [], "counts": counts}
                for name, counts in case["counts"].items()
            ],
        }
        for case in CASES
    ]


def has_r() -> bool:
    """Say whether R is here, with the two packages."""
    if not shutil.which("Rscript"):
        return False
    done = subprocess.run(
        ["Rscript", "-e", "library(openssl); library(jsonlite)"], capture_output=True, check=False
    )
    return done.returncode == 0


@pytest.mark.parametrize(
    ("language", "driver", "command", "suffix"),
    [
        pytest.param(
            "js",
            IN_JAVASCRIPT,
            "node",
            ".cjs",
            marks=pytest.mark.skipif(not shutil.which("node"), reason="Node is not installed"),
        ),
        pytest.param(
            "r",
            IN_R,
            "Rscript",
            ".R",
            marks=pytest.mark.skipif(not has_r(), reason="R with openssl and jsonlite is not installed"),
        ),
    ],
)
def test_the_lines_shown_derive_every_vector(
    language: str, driver: str, command: str, suffix: str, tmp_path: Path
) -> None:
    program, data = tmp_path / f"derive{suffix}", tmp_path / "cases.json"
    program.write_text(shown(language) + driver, encoding="utf-8")
    data.write_text(json.dumps(certificates(), ensure_ascii=False), encoding="utf-8")
    done = subprocess.run([command, program, data], capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [case["sequence"] for case in CASES]


@pytest.mark.skipif(not shutil.which("node"), reason="Node is not installed")
def test_the_ledgers_of_the_tests_are_made_by_the_program_beside_them() -> None:
    folder = CHECKOUT / "tests" / "randomization"
    made = subprocess.run(
        ["node", folder / "sequential_vectors.mjs"], capture_output=True, encoding="utf-8", check=True
    ).stdout
    assert made == (folder / "sequential_vectors.json").read_text(encoding="utf-8")


def test_each_derivation_has_ten_lines_of_its_own() -> None:
    for language in ("js", "r"):
        body = re.split(r"\n(?=function sequences|sequences <-)", shown(language))[1]
        assert len(body.strip().splitlines()) <= 12
