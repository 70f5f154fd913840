"""Write a folder whole or not at all; what it replaces is deleted last, so that one of both remains."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

REPLACED = "-replaced"


def write_whole(target: Path, fill: Callable[[Path], object]) -> Path:
    """Fill a folder beside the target, and rename it when it is complete; a folder that was there goes then.

    Parameters
    ----------
    target
        Where the folder shall be. What stands there is replaced: whether it may be is the caller's to know.
    fill
        Writes the contents into the empty folder that it is given.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        fill(scratch)
        scratch.chmod(0o755)
        _put_in_place(scratch, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _put_in_place(scratch: Path, target: Path) -> None:
    if not target.exists():
        scratch.rename(target)
        return
    old = target.rename(scratch.with_name(f"{scratch.name}{REPLACED}"))
    try:
        scratch.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old)


def left_behind(target: Path) -> str:
    """Say where a process that was killed between the two renames left what stood at the target.

    Returns
    -------
    str
        A sentence with a space before it; nothing where there is no such folder.
    """
    if target.exists() or not target.parent.is_dir():
        return ""
    found = sorted(
        path
        for path in target.parent.iterdir()
        if path.name.startswith(f".{target.name}-") and path.name.endswith(REPLACED)
    )
    return f" A write that was broken off left {found[-1]}: rename it to {target.name}." if found else ""
