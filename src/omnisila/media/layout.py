"""How a media file is laid out, told by its headers alone: where it ends, what is cut off."""

import re
from collections.abc import Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Literal, NamedTuple

_AVIF_BRANDS = (b"avif", b"avis")
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1")
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"  # Matroska's and WebM's first elements
_STREAMED = re.compile(  # elements of a segment and of its clusters, of which live streams leave the lengths open
    rb"\x1a\x45\xdf\xa3|\x18\x53\x80\x67|\x1f\x43\xb6\x75|\x1c\x53\xbb\x6b|\x12\x54\xc3\x67|\x15\x49\xa9\x66"
    rb"|\x16\x54\xae\x6b|\x11\x4d\x9b\x74|\x10\x43\xa7\x70|\x19\x41\xa4\x69|[\xec\xe7\xa3\xa0\xa7\xab\xbf]"
)
_ASF, _ASF_FILE = (  # WMV's header, and the object in it that tells the file's size
    bytes.fromhex(name) for name in ("3026b2758e66cf11a6d900aa0062ce6c", "a1dcab8c47a9cf118ee400c00c205365")
)
_PACK = b"\0\0\x01\xba"  # begins each pack of a program stream
_PNG = b"\x89PNG\r\n\x1a\n"
_FIRST_BOXES = (b"ftyp", b"mdat", b"wide", b"free", b"skip", b"moov")
_JPEG, _FLV = b"\xff\xd8\xff", b"FLV"
_BEGINNING = re.compile(rb"\xff\xd8\xff|\x89PNG|GIF8|BM.{4}\0{4}|RIFF.{4}WEBP|\0\0\0?\x01(?![\xba-\xff])", re.DOTALL)
_JPEG_MARK = re.compile(rb"\xff[^\0\xd0-\xd7\xff]")


def is_cut_off(path: Path) -> bool:
    """Whether a file ends before the size that its own headers give it; false where they give none."""
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        return (_end(content) or 0) > len(content)


def gif_break(path: Path) -> int | None:
    """The byte at which a GIF's blocks can no longer be followed; None where they end as they should, or it is none."""
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        if content[:4] != b"GIF8":
            return None
        end, whole = _follow_gif(content)
        return None if whole else end


def own_end(path: Path) -> int | None:
    """The byte behind all that belongs to a file, as its own headers tell; None where they do not."""
    if found := list(boxes(path)):
        return found[-1].place + found[-1].length
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        end = _end(content)
        if end is None:
            end = _stream_end(content)
        elif content[:3] not in (_JPEG, _FLV):
            return end
        # cameras put much behind photographs, and streams may be damaged
        return end if end is not None and _BEGINNING.match(content, end) else None


def is_title(head: bytes, length: int) -> bool:
    """Whether the end of a file is an ID3v1 title, which some tools put behind any file."""
    return length == 128 and head.startswith(b"TAG")


def is_picture(content: mmap) -> bool:
    """Whether a file begins as a picture does."""
    return _BEGINNING.match(content) is not None


def _end(content: mmap) -> int | None:
    if content[:4] == b"GIF8":
        end, whole = _follow_gif(content)
        return end if whole and content[end : end + 4] != b"GIF8" else None  # which libav may read on
    if content[:3] == _JPEG:
        return _jpeg_end(content)
    if content[:4] == _EBML:
        return _matroska_end(content)
    if content[:2] == b"BM":
        end, pixels_at = (int.from_bytes(content[place : place + 4], "little") for place in (2, 10))
        return end if end > pixels_at else None  # some writers state the size of the header alone
    if content.find(_PNG, 0, 8) == 0:
        end = _behind(content, 8, rb".{4}(?!IEND)[A-Za-z]{4}", 0, "big", 12)
        return end + 12 if content[end + 4 : end + 8] == b"IEND" else len(content) + 1
    if content[:16] == _ASF:
        at = content.find(_ASF_FILE, 0, 65536) + 40
        return (int.from_bytes(content[at : at + 8], "little") or None) if at >= 40 else None  # a live one tells none
    if content[:3] == _FLV:
        return _behind(content, 13, rb"[\x08\x09\x12].{3}", 0, "big", 15, mask=0xFFFFFF)
    if content[:4] == b"RIFF":
        end = _behind(content, 0, rb"\ARIFF|RIFF.{4}AVIX", 4, "little", 8)
        read_on = re.match(rb"\d\d[a-z]{2}|idx1|LIST|JUNK|AVI |RIFF.{4}AVI ", content[end : end + 12], re.DOTALL)
        return None if read_on else end - (end == len(content) + 1)  # the last byte of padding is often left out
    return None


def _behind(
    content: mmap, at: int, chunk: bytes, length_at: int, order: Literal["big", "little"], more: int, mask: int = -1
) -> int:
    """Where chunks end that state their lengths, of even numbers of bytes where ``order`` is little."""
    looks_right = re.compile(chunk, re.DOTALL)
    while looks_right.match(content, at):
        length = int.from_bytes(content[at + length_at : at + length_at + 4], order) & mask
        at += more + length + (length % 2 if order == "little" else 0)
    return at


def _follow_gif(content: mmap) -> tuple[int, bool]:
    """Behind a GIF's last byte, or where its blocks can no longer be followed, and which of these it is.

    Source: GIF89a specification, appendix B.
    """

    def behind_pieces(at: int) -> int:  # each is led by its length, the last is empty
        while content[at]:
            at += 1 + content[at]
        return at + 1

    def behind_colours(at: int) -> int:
        return at + (3 << (content[at - 1] & 7) + 1 if content[at - 1] & 0x80 else 0)

    at = 13
    try:
        at += (3 << (content[10] & 7) + 1) if content[10] & 0x80 else 0
        while (kind := content[at : at + 1]) != b";":
            if kind == b"!":
                at = behind_pieces(at + 2)
            elif kind == b",":
                at = behind_pieces(behind_colours(at + 10) + 1)
            else:
                return at, False
    except IndexError:
        return len(content), False
    return at + 1, True


def _jpeg_end(content: mmap) -> int | None:
    """None where it says itself that further views of it follow, or is cut off or damaged."""
    at = 2
    while content[at : at + 1] == b"\xff" and (kind := content[at + 1 : at + 2]) != b"\xd9":
        if content[at + 4 : at + 8] == b"MPF\0":
            return None
        at += 2 + int.from_bytes(content[at + 2 : at + 4])
        if kind == b"\xda":  # what follows is coded, to the next mark that is none of its own
            found = _JPEG_MARK.search(content, at)
            at = len(content) if found is None else found.start()
    return at + 2 if content[at : at + 2] == b"\xff\xd9" else None


def _stream_end(content: mmap) -> int | None:
    """Behind the last packet of a stream that states no length of its own; None of other files."""
    if content[:4] == _EBML:
        at = 0
        while element := _STREAMED.match(content, at):  # an open one's parts stand behind it
            begin, end = _element(content, element.end())
            at = begin if end is None else end
        return at
    if content[:4] == _PACK:
        at = content.rfind(_PACK)
        at += 14 + (content[at + 13 : at + 14] or b"\0")[0] % 8 if content[at + 4 : at + 5] >= b"@" else 12
        while content[at : at + 3] == _PACK[:3] and content[at + 3 : at + 4] > b"\xb9":
            at += 6 + int.from_bytes(content[at + 4 : at + 6])
        return at + 4 * (content[at : at + 4] == b"\0\0\x01\xb9")
    for stride in (188, 192, 204):  # with a time before each packet, or parity behind it
        if re.search(rb"(?:G.{%d}){4}G" % (stride - 1), content[:4096], re.DOTALL):
            at = content.rfind(b"G")
            while any(content[at - n * stride : at - n * stride + 1] != b"G" for n in range(1, 5)):
                at = content.rfind(b"G", 0, at)
            return at + (204 if stride == 204 else 188)
    return None


def _matroska_end(content: mmap) -> int | None:
    at: int | None = 0
    while at is not None and content[at : at + 4] in (_EBML, _SEGMENT):
        _, at = _element(content, at + 4)
    return at


def _element(content: mmap, at: int) -> tuple[int, int | None]:
    """Where a Matroska element begins whose length stands at a byte, and where it ends; None where it is left open."""
    width = 9 - int.from_bytes(content[at : at + 1]).bit_length()  # which its first byte tells by leading zeros
    unknown = (1 << 7 * width) - 1
    length = int.from_bytes(content[at : at + width]) & unknown
    return at + width, None if length == unknown else at + width + length


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
    """The outermost boxes of an ISO media file, by their headers alone, as long as their kinds are words."""
    size = path.stat().st_size
    with path.open("rb") as file:
        at, recognised = 0, False
        while at + 8 <= size:
            file.seek(at)
            header = file.read(16)
            length, kind = int.from_bytes(header[:4]), header[4:8]
            recognised = recognised or kind in _FIRST_BOXES
            if is_title(header, size - at) or not (recognised and re.match(rb"[ -~\xa9]{4}$", kind)):
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
