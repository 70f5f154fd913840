"""Whole blocks of replicates kept in a folder, so that a study that was stopped goes on where it was."""

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from rct.power.study import Study


@dataclass(frozen=True)
class Checkpoints:
    """The blocks of one study, in a folder that bears the study's fingerprint."""

    folder: Path

    def read(self, first: int, last: int) -> "pd.DataFrame | None":
        """Give the rows of a block; None where it was not computed."""
        import pandas as pd

        file = self._file(first, last)
        return pd.read_parquet(file) if file.exists() else None

    def keep(self, first: int, last: int, rows: "pd.DataFrame") -> None:
        """Write a block; it appears whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=self.folder)
        os.close(descriptor)
        rows.to_parquet(name, index=False)
        Path(name).replace(self._file(first, last))

    def _file(self, first: int, last: int) -> Path:
        return self.folder / f"{first:06d}-{last - 1:06d}.parquet"


def checkpoints_of(study: "Study", folder: str | Path) -> Checkpoints:
    """Give the checkpoints of a study below a folder: those of any other study are not its own."""
    return Checkpoints(Path(folder) / f"blocks-{fingerprint(study)[:16]}")


def fingerprint(study: "Study") -> str:
    """SHA-256 of all that the replicates depend on: trial, units, truth, seed, draws, history, version."""
    import rct

    content = {
        "version": rct.__version__,
        "trial": study.trial.hash,
        "tables": study.trial.model_dump_json(),
        "roster": study.allocation.certificate["roster_hash"],
        "truth": repr(study.truth),
        "seed": str(study.seed),
        "only_p": study.only_p,
        "effect_sd": repr(study.effect_sd),
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    if study.history is not None:
        digest.update(study.history.counts.tobytes())
        digest.update(study.history.exposure.tobytes())
    return digest.hexdigest()
