"""How a media file is laid out, told by its headers alone: what is cut off."""

from collections.abc import Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import NamedTuple

_AVIF_BRANDS = (b"avif", b"avis")
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1")
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"  # Matroska's and WebM's first elements
_PNG = b"\x89PNG\r\n\x1a\n"
_FIRST_BOXES = (b"ftyp", b"mdat", b"wide", b"free", b"skip", b"moov")


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
        if head.startswith(_PNG):
            file.seek(-min(size, 8), 2)
            return file.read() != b"IEND\xaeB`\x82"
        at = head.find(_SEGMENT) + len(_SEGMENT)
        if head.startswith(_EBML) and len(_SEGMENT) <= at < len(head) - 8:
            width = 9 - head[at].bit_length()  # the leading zeros of a number's first byte say how many bytes it has
            unknown = (1 << 7 * width) - 1
            length = int.from_bytes(head[at : at + width]) & unknown
            return length != unknown and at + width + length > size
    return False


def gif_break(path: Path) -> int | None:
    """The byte at which a GIF's blocks can no longer be followed; None where they end as they should, or it is none.

    Source: GIF89a specification, appendix B.
    """

    def behind_pieces(at: int) -> int:  # each is led by its length, the last is empty
        while content[at]:
            at += 1 + content[at]
        return at + 1

    def behind_colours(at: int) -> int:
        return at + (3 << (content[at - 1] & 7) + 1 if content[at - 1] & 0x80 else 0)

    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        if content[:4] != b"GIF8":
            return None
        at = 13
        try:
            at += (3 << (content[10] & 7) + 1) if content[10] & 0x80 else 0
            while (kind := content[at : at + 1]) != b";":
                if kind == b"!":
                    at = behind_pieces(at + 2)
                elif kind == b",":
                    at = behind_pieces(behind_colours(at + 10) + 1)
                else:
                    return at
        except IndexError:
            return len(content)
    return None


def stated_pictures(path: Path) -> int:
    """How many pictures an animated PNG says that it has; 0 where it does not.

    Source: W3C PNG 3 section 11.3.6.1.
    """
    with path.open("rb") as file:
        head = file.read(4096)
    at = head.find(b"acTL")
    return int.from_bytes(head[at + 4 : at + 8]) if head.startswith(_PNG) and at > 0 else 0


def ends_early(path: Path) -> bool:
    """Whether the last box of an ISO media file (mp4, heic, avif) reaches beyond its end."""
    found = list(boxes(path))
    return bool(found) and found[-1].place + found[-1].length > path.stat().st_size


class Box(NamedTuple):
    """A part of an ISO media file (mp4, mov), by its byte and its kind."""

    place: int
    kind: bytes
    length: int


def boxes(path: Path) -> Iterator[Box]:
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
            yield Box(at, kind, length)
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
    return ends_early(path) or all(box.kind != b"meta" for box in boxes(path))


def lacks_index(path: Path) -> bool:
    """Whether an ISO media file has no whole ``moov`` box."""
    found = list(boxes(path))
    size = path.stat().st_size
    return bool(found) and not any(box.kind == b"moov" and box.place + box.length <= size for box in found)
