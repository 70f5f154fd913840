"""The trial: one TOML file that says what is promised before any data."""

import difflib
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PrivateAttr, ValidationError

from rct.errors import TrialError
from rct.trial_checks import contradictions
from rct.trial_hash import canonical_json, design_json, sha256
from rct.trial_problems import Place, trial_error, validation_problems
from rct.trial_tables import Analysis, Design, Outcome, Power, Records
from rct.trial_values import Name, not_a_truth


class Trial(Design):
    """A declared trial; its attributes are the tables of its file.

    Made by :func:`load` or :meth:`parse`, never changed afterwards. Two trials are equal when their files
    say the same, comments included.
    """

    format: Annotated[Literal[1], BeforeValidator(not_a_truth)]
    name: Name
    question: str = ""
    sources: tuple[str, ...] = ()
    outcomes: Annotated[tuple[Outcome, ...], Field(min_length=1)]
    records: Records = Records()
    analysis: Analysis
    power: Power = Power()

    _file: str = PrivateAttr(default="trial.toml")
    _source: str = PrivateAttr(default="")
    _document: dict[str, Any] = PrivateAttr(default_factory=dict)

    @classmethod
    def parse(cls, text: str, *, name: str = "trial.toml") -> Self:
        """Read a trial from the text of its file.

        Parameters
        ----------
        text
            TOML.
        name
            The file's name, for messages.

        Raises
        ------
        TrialError
            With every problem found, each with its line.
        """
        document = read_toml(text, name=name)
        try:
            trial = cls.model_validate(document)
        except ValidationError as error:
            raise trial_error(name, text, validation_problems(cls, error, document)) from None
        problems = contradictions(trial)
        if problems:
            raise trial_error(name, text, problems)
        trial._file = name
        trial._source = text
        trial._document = document
        try:
            canonical_json(document)
        except TrialError as error:
            raise TrialError(f"{name}: {error}") from None
        return trial

    def __eq__(self, other: object) -> bool:
        """Compare what two files say, not what they are called."""
        # Of the fields alone: beside them pydantic keeps whatever hashes were already asked for.
        return (
            isinstance(other, Trial)
            and self._source == other._source
            and all(getattr(self, name) == getattr(other, name) for name in type(self).model_fields)
        )

    def __hash__(self) -> int:
        return hash(self._source)

    @property
    def document(self) -> dict[str, Any]:
        """The file as parsed: absent keys absent, decimals exact."""
        return self._document

    @property
    def source(self) -> str:
        """The file's text, comments included."""
        return self._source

    def error(self, place: Place, message: str) -> TrialError:
        """Make an error about a key of the file: with the file's name and the line of the key.

        Parameters
        ----------
        place
            Names of tables and key from the top of the file, and numbers in arrays:
            ``("analysis", "secondary", 0)``.
        """
        return trial_error(self._file, self._source, [(place, message)])

    def to_toml(self) -> str:
        """Give the file's text, from which :meth:`parse` makes an equal trial."""
        return self._source

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON of the whole file."""
        return sha256(canonical_json(self._document))

    @cached_property
    def design_json(self) -> str:
        """Canonical JSON of the tables that the randomization rests on, labels left out."""
        return design_json(self._document)

    @cached_property
    def design_hash(self) -> str:
        """SHA-256 of :attr:`design_json`; it keys every allocation of this trial."""
        return sha256(self.design_json)

    @cached_property
    def counting_hash(self) -> str:
        """SHA-256 of what decides which records count, and where; labels and analyses do not."""
        ignored = ("label", "primary", "direction")
        outcomes = [
            {key: value for key, value in outcome.items() if key not in ignored}
            for outcome in self._document["outcomes"]
        ]
        return sha256(canonical_json({"outcomes": outcomes, "records": self._document.get("records", {})}))

    @cached_property
    def table_hashes(self) -> dict[str, str]:
        """SHA-256 of the canonical JSON of each table and key at the top of the file."""
        return {key: sha256(canonical_json({key: value})) for key, value in self._document.items()}

    def amendments(self, other: "Trial") -> list[str]:
        """Name the tables in which another version of this trial differs, in the order of this file."""
        return differing_tables(self.table_hashes, other.table_hashes)


def differing_tables(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """Name the tables whose hashes differ, or that only one of two trials has."""
    return [key for key in {**one, **other} if one.get(key) != other.get(key)]


def read_toml(text: str, *, name: str) -> dict[str, Any]:
    """Parse TOML with decimals kept exact.

    Raises
    ------
    TrialError
        When the text is no TOML; the message names line and column.
    """
    try:
        return tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise TrialError(f"{name}: not readable as TOML: {error}") from None
    except RecursionError:
        raise TrialError(f"{name}: not readable as TOML: it is nested too deeply") from None


def designs() -> list[str]:
    """Name the trials that come with rct."""
    return sorted(
        entry.name.removesuffix(".toml") for entry in _shelf().iterdir() if entry.name.endswith(".toml")
    )


def load(name_or_path: str | PathLike[str]) -> Trial:
    """Load a trial: a shipped name or the path of a TOML file.

    Raises
    ------
    TrialError
        When there is no such file or design, or the file contradicts itself.
    """
    path = Path(name_or_path)
    shipped = designs()
    if isinstance(name_or_path, str) and name_or_path in shipped:
        entry = _shelf() / f"{name_or_path}.toml"
        return Trial.parse(entry.read_text(encoding="utf-8"), name=entry.name)
    if not path.is_file():
        near = difflib.get_close_matches(path.stem, shipped, n=1)
        advice = f' Did you mean "{near[0]}"?' if near else ""
        raise TrialError(
            f"{path}: there is no such file, nor a shipped trial of that name.{advice} "
            f"Shipped are: {', '.join(shipped)}."
        )
    return Trial.parse(toml_text(path), name=str(path))


def toml_text(path: Path) -> str:
    """Read the text of a TOML file.

    Raises
    ------
    TrialError
        When it is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TrialError(f"{path}: byte {error.start + 1} is not UTF-8; save the file as UTF-8") from None


def _shelf() -> Traversable:
    installed = files("rct") / "shipped"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "designs"
