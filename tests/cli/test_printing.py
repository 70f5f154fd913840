import json

import numpy as np
import pandas as pd
import pytest

from rct.cli import printing
from rct.cli.printing import Printer, json_text, records


def test_numbers_that_do_not_exist_are_null_in_json():
    frame = pd.DataFrame({"p": [0.5, np.nan], "n": [1, 2], "name": ["a", "b"]})
    content = json.loads(json_text({"rows": records(frame), "infinite": float("inf")}))
    assert content == {
        "rows": [{"p": 0.5, "n": 1, "name": "a"}, {"p": None, "n": 2, "name": "b"}],
        "infinite": None,
    }


def test_integers_that_a_double_cannot_hold_are_text_in_json():
    content = json.loads(json_text({"small": 2**53 - 1, "large": 2**64}))
    assert content == {"small": 9007199254740991, "large": "18446744073709551616"}


def test_with_json_nothing_else_is_on_stdout(capsys):
    printer = Printer(as_json=True)
    printer.say("for people")
    printer.table(("a",), [("1",)])
    printer.note("on stderr")
    printer.result({"ok": True})
    said = capsys.readouterr()
    assert json.loads(said.out) == {"ok": True}
    assert said.err == "on stderr\n"


def test_quiet_leaves_out_notes_and_progress(capsys):
    printer = Printer(quiet=True)
    printer.note("a note")
    with printer.waiting("doing"):
        printer.say("the result")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("the result\n", "")


def test_text_in_square_brackets_is_printed_as_it_is(capsys):
    printer = Printer()
    printer.say("[power] and [/b]")
    printer.table(("[red]unit",), [("[/b]",)])
    out = capsys.readouterr().out
    assert "[power] and [/b]" in out
    assert "[red]unit" in out
    assert out.count("[/b]") == 2


def test_long_sentences_are_not_broken_into_lines(capsys):
    Printer().say("word " * 100)
    assert capsys.readouterr().out.count("\n") == 1


ROWS = [
    ("Use-of-force incidents", "poisson exposure-time mean of 1–12", "−28.0 %", "31.2 %"),
    ("Injuries", "beta_negative_binomial_with_a_long_name", "−36.0 %", "12.5 %"),
]
COLUMNS = ("outcome", "analysis", "true change", "false positives")


@pytest.mark.parametrize("width", [150, 90, 82, 60, 30])
def test_a_table_loses_nothing_however_narrow_the_terminal(width, capsys, monkeypatch):
    monkeypatch.setattr(printing, "WIDTH_OF_A_FILE", width)
    Printer().table(COLUMNS, ROWS, numeric=COLUMNS[2:])
    out = capsys.readouterr().out
    assert "…" not in out
    for row in ROWS:
        assert all(word in out for cell in row[:2] for word in cell.split())
        assert all(number in out for number in row[2:])
    assert all(word in out for name in COLUMNS[2:] for word in name.split())
    if width >= 82:
        assert max(map(len, out.splitlines())) <= width


def test_where_a_table_is_too_wide_each_row_is_a_list(capsys, monkeypatch):
    monkeypatch.setattr(printing, "WIDTH_OF_A_FILE", 50)
    Printer().table(COLUMNS, ROWS[:1], numeric=COLUMNS[2:])
    assert capsys.readouterr().out == (
        "Use-of-force incidents, poisson exposure-time mean of 1–12\n"
        "  true change      −28.0 %\n"
        "  false positives  31.2 %\n\n"
    )
