"""SHA-256 of texts, bytes and files in hexadecimal: the names by which footage, networks and settings are known."""

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
