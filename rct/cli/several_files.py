"""Commands whose options of files take several of them at once: ``--incidents 2018.csv 2019.csv``."""

from typing import Any

from typer.core import TyperCommand

SEVERAL = "--incidents"


class SeveralFiles(TyperCommand):
    """A command that reads every word after ``--incidents``, up to the next option, as one of its files."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse arguments, the option repeated before each of its files."""
        return super().parse_args(ctx, repeated(args))


def repeated(words: list[str]) -> list[str]:
    """Put the option before each of the files that follow it.

    >>> repeated(["trial.toml", "--incidents", "a.csv", "b.csv", "--out", "panel.parquet"])
    ['trial.toml', '--incidents', 'a.csv', '--incidents', 'b.csv', '--out', 'panel.parquet']
    """
    found: list[str] = []
    reading, waiting = False, False
    for word in words:
        if word == SEVERAL:
            reading, waiting = True, True
        elif word.startswith("-"):
            reading, waiting = False, False
        elif reading and not waiting:
            found.append(SEVERAL)
        elif reading:
            waiting = False
        found.append(word)
    return found
