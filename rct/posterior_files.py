"""A Bayesian fit on disk: a Zarr folder of its draws, with all else in the folder's attributes."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rct.errors import DataError
from rct.whole_folder import left_behind, write_whole

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

    def fill(folder: Path) -> None:
        _write_draws(folder, groups)
        (folder / ATTRIBUTES).write_text(json.dumps({"rct": stated}, ensure_ascii=False, indent=1), "utf-8")

    return write_whole(target, fill)


def _write_draws(folder: Path, groups: "Mapping[str, xr.Dataset]") -> None:
    import warnings

    with warnings.catch_warnings():
        # Text labels are stored in Zarr's format 2, where they are part of the standard.
        warnings.filterwarnings("ignore", module="zarr")
        for group, dataset in groups.items():
            dataset.to_zarr(folder, group=group, zarr_format=2, consolidated=False)


def read_stated(folder: Path, names: Sequence[str], groups: Sequence[str]) -> dict[str, Any]:
    """Read what stands beside the draws, and look whether the draws are there.

    Raises
    ------
    DataError
        When the folder is not there, holds no fit, or a part of one only.
    """
    stated = _attributes(folder).get("rct")
    if not isinstance(stated, dict):
        raise DataError(
            f"{folder} holds no fit written by rct; Posterior.write makes one.{left_behind(folder)}"
        )
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
