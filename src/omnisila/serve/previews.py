"""H.264 previews of stretches of a video, made on demand in a process of their own and kept on disk.

For files that a browser cannot play, and for all files where faces are to be blurred. Footage may be hostile: the
process has limits on memory and time, writes no file, and is killed when it takes too long.
"""

import os
from pathlib import Path
from threading import BoundedSemaphore, Lock
from typing import NamedTuple

from omnisila.digests import digest
from omnisila.files import Write, check_writable, write_atomically
from omnisila.serve import processes

MAX_PREVIEW_S = 60.0
_MAX_BYTES = 30_000_000
_TIMEOUT_S = 180.0
_AT_ONCE = 1  # processes: each needs a core
_WAITING = 8  # requests that may wait for one; more are sent away
_MEMORY_BYTES = 8 * 2**30  # of addresses, most of which the libraries reserve and never touch


class Stretch(NamedTuple):
    """Whole seconds of a video, so that few different previews are asked for."""

    start_s: int
    end_s: int

    @classmethod
    def around(cls, start_s: float, end_s: float) -> "Stretch":
        """The whole seconds that hold a span, at most ``MAX_PREVIEW_S`` of them."""
        first = max(int(start_s), 0)
        return cls(first, int(min(max(-(-end_s // 1), first + 1), first + MAX_PREVIEW_S)))


class Previews:
    """Makes and keeps previews.

    Args:
        folder: of the cache; made when missing.
        max_bytes: of all in it; those unused for longest go first.
        blur_faces: hide every face.

    Raises:
        OutputError: the folder cannot be written to.
    """

    def __init__(self, folder: Path, max_bytes: int, blur_faces: bool) -> None:
        check_writable(folder)
        self._folder, self._max_bytes, self._blur = folder, max_bytes, blur_faces
        self._places = BoundedSemaphore(_WAITING)
        self._workers = BoundedSemaphore(_AT_ONCE)
        self._tidying = Lock()

    def get(self, video: Path, sha256: str, stretch: Stretch) -> Path | None:
        """The mp4 file of a stretch; None when too many others are waiting for theirs.

        Raises:
            MediaError: it cannot be read or shown; the message says why.
            OutputError: the disk is full.
        """
        name = digest(sha256, f"{stretch.start_s}-{stretch.end_s}", "blurred" if self._blur else "plain")
        path = self._folder / f"{name[:40]}.mp4"
        if _touch(path):
            return path
        if not self._places.acquire(blocking=False):
            return None
        try:
            with self._workers:
                if not _touch(path):  # another request may have made it meanwhile
                    write_atomically(path, self._make(video, stretch))
                    self._tidy(path)
        finally:
            self._places.release()
        return path

    def _make(self, video: Path, stretch: Stretch) -> bytes:
        given = (str(video), str(stretch.start_s), str(stretch.end_s), "blur" if self._blur else "plain")
        return processes.Child(__name__, given).answer(_TIMEOUT_S, "Convert the video to H.264.")

    def _tidy(self, newest: Path) -> None:
        """Make room, the newest one excepted."""
        with self._tidying:
            kept = sorted(self._folder.glob("*.mp4"), key=lambda path: path.stat().st_mtime)
            total = sum(path.stat().st_size for path in kept)
            for path in kept:
                if total <= self._max_bytes or path == newest:
                    return
                total -= path.stat().st_size
                path.unlink(missing_ok=True)


def _touch(path: Path) -> bool:
    """Whether it is there; then it counts as used now."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def main(arguments: list[str], _write: Write) -> bytes:
    """In the process of its own: the preview."""
    from omnisila.media.clips import cut
    from omnisila.media.video import VideoReader
    from omnisila.report.faces import FaceFinderConfig

    video, start_s, end_s = arguments[0], float(arguments[1]), float(arguments[2])
    processes.limit(_MEMORY_BYTES, _TIMEOUT_S)
    reader = VideoReader(video)
    blur_at = FaceFinderConfig().build().over(reader, start_s, end_s) if arguments[3] == "blur" else None
    return cut(video, start_s, end_s, _MAX_BYTES, blur_at=blur_at)
