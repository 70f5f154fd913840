import json

import numpy as np
import pandas as pd

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
