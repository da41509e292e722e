"""What is taken away again: old events, and clips beyond what is allowed; never what people accepted."""

import json
from collections.abc import Set
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from omnisila.errors import OutputError
from omnisila.files import remove

_CLIPS = (".mp4", ".mkv")


class _Clip(NamedTuple):
    path: Path
    changed_s: float
    size_bytes: int


def retire(
    folder: Path, keep_days: float | None, keep_bytes: int | None, accepted: Set[str], now: datetime | None = None
) -> int:
    """Take away what is too old, then the oldest clips until the rest fits; how many files went.

    Args:
        keep_days: None keeps all.
        keep_bytes: of all clips together; None keeps all.
        accepted: SHA-256 of clips whose findings people accepted: they stay, whatever their age.
    """
    now = now or datetime.now(UTC)
    oldest_s = (now - timedelta(days=keep_days)).timestamp() if keep_days is not None else float("-inf")
    went = 0
    for log in folder.glob("*/????-??-??/??.jsonl"):
        if log.stat().st_mtime < oldest_s:
            went += _remove(log)
    clips = sorted(
        (clip for clip in _clips(folder) if not _sha256(clip.path) & accepted), key=lambda clip: clip.changed_s
    )
    total = sum(clip.size_bytes for clip in _clips(folder))
    for clip in clips:
        if clip.changed_s >= oldest_s and (keep_bytes is None or total <= keep_bytes):
            break
        total -= clip.size_bytes
        went += _remove(clip.path) + _remove(clip.path.with_name(f"{clip.path.name}.json"))
    for empty in sorted(folder.glob("*/????-??-??/??"), reverse=True):
        with suppress(OSError):  # it is not empty
            empty.rmdir()
            empty.parent.rmdir()
    return went


def _clips(folder: Path) -> list[_Clip]:
    found: list[_Clip] = []
    for path in folder.glob("*/????-??-??/??/*"):
        if path.suffix in _CLIPS and not path.name.startswith("."):
            with suppress(OSError):
                stat = path.stat()
                found.append(_Clip(path, stat.st_mtime, stat.st_size))
    return found


def _sha256(clip: Path) -> Set[str]:
    try:
        return {json.loads(clip.with_name(f"{clip.name}.json").read_bytes())["video"]["sha256"]}
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset()


def _remove(path: Path) -> int:
    try:
        remove(path)
    except OutputError:
        return 0
    return 1
