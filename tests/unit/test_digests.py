"""What is read of a file is kept while the file stays as it is, and no longer."""

import os
from pathlib import Path

from omnisila.digests import file_digest, file_version, kept_by_version


def test_a_file_that_may_still_change_unseen_has_no_version_to_be_kept_by(tmp_path: Path) -> None:
    path = tmp_path / "a"
    digest = kept_by_version(4)(file_digest)
    seen = set()
    for content in (b"one", b"two", b"six"):
        path.write_bytes(content)
        os.utime(path, ns=(1_000_000_000, 1_000_000_000))  # a copied time says nothing
        assert file_version(path) is None
        seen.add(digest(path))
    assert len(seen) == 3


def test_a_settled_file_is_read_once() -> None:
    path, reads = Path(os.__file__), []

    @kept_by_version(4)
    def size(path: Path) -> int:
        reads.append(path)
        return path.stat().st_size

    assert size(path) == size(path) == path.stat().st_size
    assert reads == [path]
