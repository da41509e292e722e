"""SHA-256 in hexadecimal: the names by which footage, networks, settings and findings are known."""

import hashlib
from pathlib import Path


def digest(*parts: str | bytes) -> str:
    """Of the parts, joined by ``|``."""
    return hashlib.sha256(b"|".join(part.encode() if isinstance(part, str) else part for part in parts)).hexdigest()


def file_digest(path: Path) -> str:
    """Of a file's content, read piece by piece.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def finding_id(video_sha256: str, labels: str, label: str, start_s: float, end_s: float) -> str:
    """The name of a finding: the same for the same video content, label set, label and span, to the millisecond.

    Two analyses that find the same have the same ids, wherever the video lies and whatever the score.
    """
    return digest(video_sha256, labels, label, f"{start_s:.3f}", f"{end_s:.3f}")[:24]
