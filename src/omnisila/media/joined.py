"""Files put one behind another in one file: where the next one begins that libav would not go on with.

What begins a file of a format is told by more bytes than pictures could hold by chance. Recordings of one format that
libav reads as one (transport and program streams, Matroska, Ogg, fragments of MP4) are left to it.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import NamedTuple

from omnisila.digests import kept_by_version
from omnisila.media.layout import Box, boxes, is_picture, is_title, own_end

_MP4, _TS, _PS, _GIF, _MATROSKA = "mp4", "ts", "mpeg", "gif", "matroska"
_PACKET = 188  # bytes of a transport stream
_LOOKED_AT = 1 << 16  # bytes; zeros behind a file only fill it up


class _Head(NamedTuple):
    """What begins a file: a mark that is looked for, behind some bytes, and how all of it reads."""

    mark: bytes
    pattern: bytes
    offset: int = 0
    reads_on: bool = True  # libav does, where another file of the format follows


_HEADS = {
    _MP4: _Head(b"ftyp", rb"\0\0[\0\x01].ftyp(?!j[2px])[ -~]{4}", 4),  # read on as ``_next_mp4`` says
    _MATROSKA: _Head(b"\x1a\x45\xdf\xa3", rb"\x1a\x45\xdf\xa3.{0,60}?(?:matroska|webm)"),
    "flv": _Head(b"FLV\x01", rb"FLV\x01.\0\0\0\x09\0{4}", reads_on=False),
    "avi": _Head(b"RIFF", rb"RIFF.{4}AVI LIST"),
    "asf": _Head(b"\x30\x26\xb2\x75\x8e\x66", rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9", reads_on=False),
    "mxf": _Head(b"\x06\x0e\x2b\x34\x02", rb"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02", reads_on=False),
    "ogg": _Head(b"OggS\0\x02", rb"OggS\0\x02\0{8}.{4}\0{4}"),
    _TS: _Head(b"G\x40\0", rb"(?:G.{187}){4}G|(?:G.{191}){4}G|(?:G.{203}){4}G"),  # marked by its table
    _PS: _Head(b"\0\0\x01\xba", rb"\0\0\x01\xba(?:[\x40-\x7f].{9}|[\x20-\x2f].{7})\0\0\x01[\xb9-\xff]"),
    _GIF: _Head(b"GIF8", rb"GIF8[79]a.{6}\0"),
    "y4m": _Head(b"YUV4MPEG2", rb"YUV4MPEG2 W"),
    "ivf": _Head(b"DKIF\0\0", rb"DKIF\0\0 \0.{4}", reads_on=False),
}


@kept_by_version(8)
def another_from(path: Path) -> int | None:
    """The byte at which another video begins that is not read with what stands before it, if there is one."""
    parts = list(boxes(path))
    found = [_next_mp4(parts)]
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        own = next((name for name, head in _HEADS.items() if re.compile(head.pattern, re.DOTALL).match(content)), None)
        if own is None and not is_picture(content):  # streams are read from anywhere, and may have times before packets
            own = next((name for name in (_TS, _PS) if _place(content[:_LOOKED_AT], _HEADS[name], 0) is not None), None)
        cut_off = (box.place for box in parts if box.place + box.length > len(content))
        after = next(cut_off, own_end(path) or 1) if own == _MP4 else 1
        found += [_place(content, head, after) for name, head in _HEADS.items() if name != own or not head.reads_on]
        if own == _MATROSKA and (second := _place(content, _HEADS[own], 1)) is not None:  # libav reads on to its end
            found.append(_place(content, _HEADS[own], second + 1))
        if own == _GIF:  # which libav reads on in the first one's size
            other = rb"GIF8[79]a(?!" + re.escape(content[6:10]) + rb").{6}\0"
            found.append(_place(content, _HEADS[_GIF]._replace(pattern=other), after))
    return min((place for place in found if place is not None), default=None)


def joined_note(path: Path) -> tuple[str, ...]:
    """What is to be told about what stands behind the video or picture in a file, if anything does."""
    if (place := another_from(path)) is not None:
        return (f"another video begins at byte {place} of the file and is not read: give it as a file of its own",)
    if (end := own_end(path)) is None:
        return ()
    with path.open("rb") as file:
        file.seek(end)
        strange = file.read(_LOOKED_AT).strip(b"\0")
    told = f"what stands from byte {end} of the file on is no part of it and is not read: give joined files one by one"
    return (told,) if strange and not is_title(strange, path.stat().st_size - end) else ()


def _place(content: mmap | bytes, head: _Head, after: int) -> int | None:
    """Where from a byte on the first file of a format begins."""
    mark, pattern, offset, _ = head
    whole = re.compile(pattern, re.DOTALL)
    at = content.find(mark, after + offset)
    while at >= 0 and not whole.match(content, at - offset):
        at = content.find(mark, at + 1)
    if at < 0:
        return None
    while head is _HEADS[_TS] and at - _PACKET >= after and content[at - _PACKET : at - _PACKET + 1] == b"G":
        at -= _PACKET  # other packets stand before the table
    return at - offset


def _next_mp4(found: Sequence[Box]) -> int | None:
    """Where a further MP4 or MOV begins: libav reads fragments on behind fragments, and nothing else."""
    parts: list[list[Box]] = [[]]
    for box in found:
        if parts[-1] and (box.kind == b"ftyp" or (box.kind == b"moov" and _has(parts[-1], b"moov"))):
            parts.append([])
        parts[-1].append(box)
    indexed = False
    for before, part in pairwise(parts):
        indexed = indexed or _has(before, b"moov")
        if indexed and _has(part, b"moov") and not (_has(before, b"moof") and _has(part, b"moof")):
            return part[0].place
    return None


def _has(part: Sequence[Box], kind: bytes) -> bool:
    return any(box.kind == kind for box in part)
