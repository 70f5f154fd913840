"""Panel: measured units × periods, with the assignment of every row, from any tidy frame."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rct.errors import DataError
from rct.identifiers import join, listed
from rct.row_runs import Spells, find_spells

if TYPE_CHECKING:
    import pandas as pd

PROBLEM_COLUMNS = ("file", "row", "unit", "problem", "done")


@dataclass(frozen=True, eq=False, repr=False)
class Panel:
    """Counts and exposure of measured units by period; every row carries its assignment.

    Attributes
    ----------
    frame : pandas.DataFrame
        One row per unit and period, sorted by unit (in byte order) and period: unit, period (1…n),
        period_label, randomized, cluster, sequence, arm, starts (first treated period, after any
        transition; 0 = never), treated (dose; NaN in transition), received, exposure, block,
        probability, the outcomes, `exposure:OUTCOME` where an outcome has its own, covariates.
    outcomes : tuple of str
    fractional : tuple of str
        Outcomes that may hold fractions, and so never enter a count likelihood.
    covariates : tuple of str
    problems : pandas.DataFrame
        What was dropped or doubtful, row by row: file, row, unit, problem, done.
    meta : mapping
        Hashes, attribution of incidents, name of the control arm, "simulated".
    """

    frame: "pd.DataFrame"
    outcomes: tuple[str, ...]
    fractional: tuple[str, ...] = ()
    covariates: tuple[str, ...] = ()
    problems: "pd.DataFrame" = field(default_factory=lambda: _no_problems())  # noqa: PLW0108
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_counts(self.frame, self.outcomes)

    @classmethod
    def from_frame(
        cls,
        df: "pd.DataFrame",
        *,
        unit: str,
        period: str | None,
        outcomes: Sequence[str],
        starts: str | None = None,
        treated: str | None = None,
        arm: str | None = None,
        received: str | None = None,
        exposure: "str | Mapping[str, str] | None" = None,
        randomized: str | None = None,
        sequence: str | None = None,
        transition: int = 0,
        cluster: str | None = None,
        block: "str | Sequence[str] | None" = None,
        probability: str | None = None,
        covariates: "Sequence[str] | Mapping[str, str]" = (),
        fractional: Sequence[str] = (),
    ) -> "Panel":
        """Make a panel from any tidy frame.

        Parameters
        ----------
        df : pandas.DataFrame
            One row per unit and period.
        unit, period : str
            Columns of the measured unit and the period; `period=None` for one row per unit.
        outcomes : sequence of str
            Columns of counts (non-negative).
        starts, treated : str, optional
            Column of the first treated period (in the frame's own values; missing, infinite or 0 = never,
            after transition periods), or of a 0/1 or dose indicator. Exactly one of the two.
        arm : str, optional
            Column naming the treatment, for several arms.
        received : str, optional
            Column of what was received; what was assigned where absent.
        exposure : str or mapping, optional
            Column of person-time, or one for each outcome; 1 where absent. A row of exposure 0 has no events.
        randomized, cluster, block, probability : str, optional
            Columns of the randomized unit (the unit where absent), the cluster (the randomized unit where
            absent), the block, and the probability of the assignment this row received.
        sequence : str, optional
            Column numbering the sequence of the randomized unit; derived from arm and start where absent.
        transition : int
            Periods between crossing and first treated period, whose rows no analysis uses.
        covariates : sequence or mapping of str
            Columns to keep, or new name → column.
        fractional : sequence of str
            Outcomes that may hold fractions.

        Raises
        ------
        DataError
            For a missing column, ids that are no text, a repeated unit and period, negative counts, an
            exposure that is no number of 0 or more, events where it is 0, or an assignment that differs
            within a randomized unit.
        """
        from rct.tidy_frame import TidyColumns, assemble

        columns = TidyColumns(
            unit=unit, period=period, outcomes=tuple(outcomes), starts=starts, treated=treated, arm=arm,
            received=received, exposure=exposure, randomized=randomized, sequence=sequence,
            transition=transition, cluster=cluster, block=block, probability=probability,
            covariates=covariates if isinstance(covariates, Mapping) else {c: c for c in covariates},
        )  # fmt: skip
        frame = assemble(df, columns)
        meta = {"simulated": False, "transition": transition, "control": _control_name(frame)}
        panel = cls(
            frame, tuple(outcomes), tuple(fractional), tuple(columns.covariates), _no_problems(), meta
        )
        panel.spells  # noqa: B018 – found once, while the panel is made
        return panel

    @property
    def control(self) -> str:
        """Name of the arm that effects are compared with."""
        return str(self.meta.get("control", "control"))

    @property
    def treatments(self) -> list[str]:
        """Names of the treatment arms, in the order of the sequences."""
        return self._derived("treatments", _treatments)

    @property
    def periods(self) -> int:
        """Number of periods."""
        return int(self.frame["period"].max())

    @property
    def randomized_units(self) -> list[str]:
        """Randomized units in byte order: the order of the columns of array draws."""
        return self._derived("randomized_units", lambda frame: sorted(frame["randomized"].unique()))

    @property
    def sequences(self) -> "pd.DataFrame":
        """One row per sequence and period: sequence, period, arm, dose (NaN in transition)."""
        return self._derived("sequences", _sequences).copy()

    @property
    def spells(self) -> "Spells":
        """Where units begin, and within them spells of one arm and sequence, treated throughout or not."""
        return self._derived("spells", find_spells)

    @property
    def kept(self) -> dict[object, Any]:
        """What analyses derive from the frame alone and use again; empty once the frame was edited."""
        columns = _columns_in_memory(self.frame)
        if "_kept" not in self.__dict__ or self.__dict__["_kept"][0] != columns:
            # While a second frame holds the same columns pandas copies one before it is written to.
            self.__dict__["_kept"] = columns, self.frame.copy(deep=False), {}
        return self.__dict__["_kept"][2]

    def _derived(self, name: str, derive: "Callable[[pd.DataFrame], Any]") -> Any:
        """Give what the frame alone determines, found when it is first asked for."""
        kept = self.kept
        if name not in kept:
            kept[name] = derive(self.frame)
        return kept[name]

    @property
    def hash(self) -> str:
        """SHA-256 of the frame's columns, in lower-case hexadecimal."""
        return self._derived("hash", _hash)

    def rows(self, outcome: str) -> "pd.DataFrame":
        """Give the rows that an analysis of one outcome may use.

        Rows in transition, without exposure or with a missing count are left out. The column `count`
        holds the outcome, `exposure` its own person-time or the common one.

        Raises
        ------
        DataError
            If the outcome is not in the panel or no row is left.
        """
        self._require_outcome(outcome)
        own = f"exposure:{outcome}"
        exposure = self.frame[own] if own in self.frame else self.frame["exposure"]
        frame = self.frame.assign(count=self.frame[outcome].astype(float), exposure=exposure.astype(float))
        usable = frame["treated"].notna() & frame["count"].notna() & (frame["exposure"] > 0)
        if not usable.any():
            raise DataError(
                f"no row of the panel can be used for {outcome!r}: "
                "all are in transition, without exposure or missing"
            )
        return frame if usable.all() else frame.loc[usable].reset_index(drop=True)

    def _require_outcome(self, outcome: str) -> None:
        if outcome not in self.outcomes:
            raise DataError(f"the panel holds no outcome {outcome!r}; it holds {', '.join(self.outcomes)}")

    def require_counts(self, outcome: str, *, asked_by: str) -> None:
        """Refuse fractions in an outcome that was not declared to hold them.

        Raises
        ------
        DataError
            Naming unit and period of the first fraction; or if the outcome is not in the panel.
        """
        self._require_outcome(outcome)
        if outcome in self.fractional or self.frame[outcome].dtype.kind in "iu":
            return
        values = self.frame[outcome].astype(float)
        fractions = self.frame.loc[values.notna() & (values % 1 != 0)]
        if len(fractions):
            first = fractions.iloc[0]
            raise DataError(
                f"outcome {outcome!r} holds {len(fractions)} fractional values (first: {first[outcome]:g}, "
                f"unit {first['unit']}, period {first['period_label']}), and {asked_by} is for counts. "
                f"Count whole events, "
                f"or declare the outcome fractional (fractional = true, or fractional=[{outcome!r}])."
            )

    def write(self, path: str | Path) -> Path:
        """Write the panel as one Parquet file, with problems and provenance in its metadata.

        Raises
        ------
        DataError
            If the path is a folder.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        target = Path(path)
        if target.is_dir():
            raise DataError(f"{target} is a folder; name the file to write, such as panel.parquet")
        target.parent.mkdir(parents=True, exist_ok=True)
        table = pa.Table.from_pandas(self.frame, preserve_index=False)
        content = {
            "format": 1,
            "outcomes": self.outcomes,
            "fractional": self.fractional,
            "covariates": self.covariates,
            "problems": json.loads(self.problems.to_json(orient="records", date_format="iso")),
            "problem_columns": list(self.problems.columns),
            "meta": dict(self.meta),
        }
        metadata = {**(table.schema.metadata or {}), b"rct": json.dumps(content, ensure_ascii=False).encode()}
        scratch = target.with_name(f".{target.name}.part")
        pq.write_table(table.replace_schema_metadata(metadata), scratch)
        scratch.replace(target)
        return target

    @classmethod
    def read(cls, path: str | Path) -> "Panel":
        """Read what `write` wrote.

        Raises
        ------
        DataError
            If the file is not there or is no panel.
        """
        import pandas as pd
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not Path(path).is_file():
            raise DataError(f"panel file {path} is not there; `rct panel` or `rct simulate` writes one")
        try:
            table = pq.read_table(path)
            content = json.loads((table.schema.metadata or {})[b"rct"])
        except (pa.ArrowInvalid, OSError, KeyError) as error:
            raise DataError(
                f"{path} is no panel written by rct; make one with `rct panel` or `rct simulate`"
            ) from error
        problems = pd.DataFrame(content["problems"], columns=content["problem_columns"])
        panel = cls(
            table.to_pandas(),
            tuple(content["outcomes"]),
            tuple(content["fractional"]),
            tuple(content["covariates"]),
            problems if len(problems) else _no_problems(),
            content["meta"],
        )
        panel.spells  # noqa: B018 – found once, while the panel is read
        return panel

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Panel)
            and self.frame.equals(other.frame)
            and (self.outcomes, self.fractional, self.covariates)
            == (other.outcomes, other.fractional, other.covariates)
            and self.problems.astype(str).equals(other.problems.astype(str))
            and dict(self.meta) == dict(other.meta)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        frame = self.frame
        events = ", ".join(f"{frame[name].sum():g} {name}" for name in self.outcomes)
        simulated = "Simulated panel" if self.meta.get("simulated") else "Panel"
        return (
            f"{simulated}: {frame['unit'].nunique()} units × {self.periods} periods ({len(frame)} rows), "
            f"{len(self.randomized_units)} randomized units in {frame['sequence'].nunique()} sequences\n"
            f"  events: {events}\n  problems noted: {len(self.problems)}"
        )


def _no_problems() -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(columns=list(PROBLEM_COLUMNS))


def _treatments(frame: "pd.DataFrame") -> list[str]:
    dosed = frame.loc[frame["treated"] > 0, ["sequence", "arm"]].drop_duplicates()
    return [str(arm) for arm in dosed.sort_values("sequence")["arm"].unique()]


def _sequences(frame: "pd.DataFrame") -> "pd.DataFrame":
    columns = ["sequence", "period", "arm", "treated"]
    table = frame[columns].drop_duplicates(["sequence", "period"]).sort_values(columns[:2])
    return table.rename(columns={"treated": "dose"}).reset_index(drop=True)


def _hash(frame: "pd.DataFrame") -> str:
    import hashlib

    import pandas as pd

    digest = hashlib.sha256()
    for name in frame.columns:
        column = frame[name]
        numeric = pd.api.types.is_numeric_dtype(column)
        content = column.to_numpy(dtype="<f8").tobytes() if numeric else join(*map(str, column))
        digest.update(join(name, content))
    return digest.hexdigest()


def _columns_in_memory(frame: "pd.DataFrame") -> list[tuple[object, int]]:
    """Name and place in memory of every column."""
    import numpy as np

    return [
        (
            name,
            int(column.to_numpy().__array_interface__["data"][0])
            if isinstance(column.dtype, np.dtype)
            else id(column.array),
        )
        for name, column in frame.items()
    ]


def _control_name(frame: "pd.DataFrame") -> str:
    undosed = frame["starts"].to_numpy() == 0
    return str(frame["arm"].iloc[int(undosed.argmax())]) if undosed.any() else "control"


def _check_counts(frame: "pd.DataFrame", outcomes: Sequence[str]) -> None:
    problems = []
    for outcome in outcomes:
        negative = frame.loc[frame[outcome] < 0]
        problems += [
            f"{outcome} = {row[outcome]:g} for unit {row['unit']} in period {row['period_label']}"
            for _, row in negative.iterrows()
        ]
    if problems:
        raise DataError(
            f"negative counts: {listed(problems)}. Correct the records; a count is never below zero."
        )
