"""How a media file is laid out, told by its headers alone: what is cut off, and what lies behind a video."""

from collections.abc import Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import NamedTuple

_AVIF_BRANDS = (b"avif", b"avis")
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1")
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"  # Matroska's and WebM's first elements
_FIRST_BOXES = (b"ftyp", b"mdat", b"wide", b"free", b"skip", b"moov")
_TS_PACKET, _TS_SYNC = 188, 0x47
_HEADS = ((b"ftyp", 4), (_EBML, 0), (b"FLV\x01", 0), (b"RIFF", 0))  # marks of formats, and how far into a file each is
_FLV, _FLV_HEAD_END = b"FLV\x01", b"\x00\x00\x00\x09\x00\x00\x00\x00"


def is_cut_off(path: Path) -> bool:
    """Whether a file ends before the size that its own headers give it; false where they give none."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(4096)
        if head.startswith(b"RIFF"):
            return 8 + int.from_bytes(head[4:8], "little") > size
        if head.startswith(b"FLV"):  # each tag is followed by its size, which stands in its head too
            file.seek(-4, 2)
            tag = int.from_bytes(file.read(4))
            if not 11 <= tag <= size - 4:
                return True
            file.seek(-4 - tag, 2)
            return int.from_bytes(file.read(4)[1:]) != tag - 11
        at = head.find(_SEGMENT) + len(_SEGMENT)
        if head.startswith(_EBML) and len(_SEGMENT) <= at < len(head) - 8:
            width = 9 - head[at].bit_length()  # the leading zeros of a number's first byte say how many bytes it has
            unknown = (1 << 7 * width) - 1
            length = int.from_bytes(head[at : at + width]) & unknown
            return length != unknown and at + width + length > size
    return False


def unread(path: Path) -> str | None:
    """What a file holds that libav passes over without a word, if anything."""
    with path.open("rb") as file:
        head = file.read(2 * _TS_PACKET)
        if head.startswith(b"FLV"):
            with mmap(file.fileno(), 0, access=ACCESS_READ) as content:
                at = content.find(_FLV, len(_FLV))
                return _another(at) if at > 0 and content[at + 5 : at + 13] == _FLV_HEAD_END else None
        if _is_ts(head):
            with mmap(file.fileno(), 0, access=ACCESS_READ) as content:
                at = _behind_packets(content)
            return _another(at) if at is not None else None
    boxes = list(_boxes(path))
    kinds = [box.kind for box in boxes]
    if b"moof" not in kinds:  # libav reads on where fragments are joined
        heads = [box.place for box in boxes if box.kind == b"moov"][1:] or _alien(path, boxes)
        return _another(heads[0]) if heads else None
    return "the file ends within a fragment: it was cut off" if ends_early(path) else None


def _is_ts(head: bytes) -> bool:
    """Whether two packets of an MPEG transport stream begin here."""
    return len(head) > _TS_PACKET and head[0] == head[_TS_PACKET] == _TS_SYNC


def _behind_packets(content: mmap) -> int | None:
    """Where the first file of another format begins behind whole packets of a transport stream."""
    found = []
    for mark, offset in _HEADS:
        at = content.find(mark, _TS_PACKET)
        while at >= 0 and (at - offset) % _TS_PACKET:
            at = content.find(mark, at + 1)
        found += [at - offset] if at >= 0 and content[at - offset] != _TS_SYNC else []
    return min(found, default=None)


def _alien(path: Path, boxes: "list[_Box]") -> list[int]:
    """Where, behind the boxes of an ISO media file, a file of another format begins."""
    if not any(box.kind == b"moov" for box in boxes):
        return []
    with path.open("rb") as file:
        file.seek(boxes[-1].place)
        head = file.read(2 * _TS_PACKET)
    other = _is_ts(head) or any(head.startswith(mark) for mark, offset in _HEADS if not offset)
    return [boxes[-1].place] if other else []


def ends_early(path: Path) -> bool:
    """Whether the last box of an ISO media file (mp4, heic, avif) reaches beyond its end."""
    boxes = list(_boxes(path))
    return bool(boxes) and boxes[-1].place + boxes[-1].length > path.stat().st_size


def _another(place: int) -> str:
    return f"another video begins at byte {place} of the file and is not read: give videos that were joined one by one"


class _Box(NamedTuple):
    """A part of an ISO media file (mp4, mov), by its byte and its kind."""

    place: int
    kind: bytes
    length: int


def _boxes(path: Path) -> Iterator[_Box]:
    """The outermost boxes of an ISO media file, by their headers alone; nothing where it is none."""
    size = path.stat().st_size
    with path.open("rb") as file:
        at, recognised = 0, False
        while at + 8 <= size:
            file.seek(at)
            header = file.read(16)
            length, kind = int.from_bytes(header[:4]), header[4:8]
            recognised = recognised or kind in _FIRST_BOXES
            if not recognised:
                return
            if length == 1:
                length = int.from_bytes(header[8:16])
            length = length or size - at
            yield _Box(at, kind, length)
            if length < 8:
                return
            at += length


def brand(path: Path) -> bytes | None:
    """The brand of an ISO media file that states one."""
    with path.open("rb") as file:
        head = file.read(12)
    return head[8:] if head[4:8] == b"ftyp" else None


def is_cut_picture(path: Path) -> bool:
    """Whether a HEIC or AVIF file ends early, or has no list of its pictures."""
    if brand(path) not in (*HEIF_BRANDS, *_AVIF_BRANDS):
        return False
    return ends_early(path) or all(box.kind != b"meta" for box in _boxes(path))


def lacks_index(path: Path) -> bool:
    """Whether an ISO media file has no whole ``moov`` box."""
    boxes = list(_boxes(path))
    size = path.stat().st_size
    return bool(boxes) and not any(box.kind == b"moov" and box.place + box.length <= size for box in boxes)
