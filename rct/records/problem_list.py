"""What was doubtful or not counted, row by row."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("file", "row", "unit", "incident", "officer", "problem", "done")


@dataclass
class ProblemList:
    """Problems in the order they were found; :meth:`frame` sorts them by place."""

    found: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self,
        problem: str,
        *,
        done: str,
        file: str = "",
        row: int = 0,
        unit: str = "",
        incident: str = "",
        officer: str = "",
    ) -> None:
        """Note one problem: what it is, and what was done about it."""
        self.found.append(
            {"file": file, "row": row, "unit": unit, "incident": incident, "officer": officer,
             "problem": problem, "done": done}
        )  # fmt: skip

    def add_records(self, records: "pd.DataFrame", problem: "str | pd.Series", *, done: str) -> None:
        """Note the same problem of several records, which have file, row, unit, incident and officer."""
        texts = [problem] * len(records) if isinstance(problem, str) else problem.tolist()
        for record, text in zip(records.to_dict("records"), texts, strict=True):
            self.add(
                text,
                done=done,
                file=record["file"],
                row=record["row"],
                unit=record["unit"] or "",
                incident=record["incident"] or "",
                officer=record["officer"] or "",
            )

    def frame(self) -> "pd.DataFrame":
        """Give the problems as a table, by file and row."""
        import pandas as pd

        table = pd.DataFrame(self.found, columns=list(COLUMNS))
        return table.sort_values(["file", "row"], kind="stable", ignore_index=True)
