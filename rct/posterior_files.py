"""A Bayesian fit on disk: a Zarr folder of its draws, with all else in the folder's attributes."""

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rct.errors import DataError

if TYPE_CHECKING:
    import xarray as xr

ATTRIBUTES = ".zattrs"


def write_fit(target: Path, groups: "Mapping[str, xr.Dataset]", stated: Mapping[str, Any]) -> Path:
    """Write a fit, whole or not at all; one that was there is replaced when the new one is complete.

    Raises
    ------
    DataError
        When the folder holds something else.
    """
    if target.exists() and "rct" not in _attributes(target):
        raise DataError(f"{target} is there and is no fit written by rct; name a new folder.")
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        _write_draws(scratch, groups)
        (scratch / ATTRIBUTES).write_text(json.dumps({"rct": stated}, ensure_ascii=False, indent=1), "utf-8")
        scratch.chmod(0o755)
        _put_in_place(scratch, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _write_draws(folder: Path, groups: "Mapping[str, xr.Dataset]") -> None:
    import warnings

    with warnings.catch_warnings():
        # Text labels are stored in Zarr's format 2, where they are part of the standard.
        warnings.filterwarnings("ignore", module="zarr")
        for group, dataset in groups.items():
            dataset.to_zarr(folder, group=group, zarr_format=2, consolidated=False)


def _put_in_place(scratch: Path, target: Path) -> None:
    """Rename; the fit that was there is moved aside first, and deleted last, so that one of both remains."""
    if not target.exists():
        scratch.rename(target)
        return
    old = target.rename(scratch.with_name(f"{scratch.name}-replaced"))
    try:
        scratch.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old)


def read_stated(folder: Path, names: Sequence[str], groups: Sequence[str]) -> dict[str, Any]:
    """Read what stands beside the draws, and look whether the draws are there.

    Raises
    ------
    DataError
        When the folder is not there, holds no fit, or a part of one only.
    """
    stated = _attributes(folder).get("rct")
    if not isinstance(stated, dict):
        raise DataError(f"{folder} holds no fit written by rct; Posterior.write makes one.")
    lacking = [name for name in names if name not in stated]
    lacking += [f"the folder {group}" for group in groups if not (folder / group / ".zgroup").is_file()]
    if lacking:
        raise DataError(
            f"{folder} holds a part of a fit: {', '.join(lacking)} is not there. Copy it anew, or fit again."
        )
    return {name: stated[name] for name in names}


def _attributes(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / ATTRIBUTES).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
