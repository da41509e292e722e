"""One running clock for every reader of a file, whatever timestamps and headers it carries.

The packets of the whole file are looked at once, undecoded. Where timestamps start again (joined or restarted
recordings) time is counted on; where they leap ahead time passes, and there is a hole. The file lasts to its last
picture: what a header states is only compared with that.
"""

import math
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import NamedTuple

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from omnisila.digests import kept_by_version
from omnisila.media.container import EditList, demux, open_container, video_stream
from omnisila.media.joined import another_from, joined_note
from omnisila.media.layout import ends_early, gif_break, is_cut_off, stated_pictures
from omnisila.schema import Span

HOLD_S = 5.0  # a picture that would stay on for longer belongs to no slow screen: nothing was recorded
_HOLD_FRAMES = 5  # likewise, where pictures are seconds apart
_FARTHEST_S = 366 * 86_400.0  # nor is a leap over more than a year a time without pictures
_LEAP_S = 1.0  # timestamps that leap farther than this are not merely out of order
_OVERLAP_S = 0.1  # a key picture is shown after all that stand before it in the file; times round by less
REORDERED = 16  # pictures that H.264 and H.265 hold back at most to bring them into order
_STRAY = 3  # of so many packets after a leap, one that goes on where the leap began proves it wrong
_STATED_S = 1.0  # headers that are wrong by less are not told
_STATING = ("matroska", "avi", "flv", "mov", "asf", "mxf")  # formats that state their length; of others libav guesses
_INDEXED = ("mov", "mxf")  # formats whose index lists the packets, also those that are missing
_OF_PICTURES = ("mjpeg", "_pipe")  # formats in which one picture file follows another
_MAX_PACKETS = 10_000_000  # a day at 115 pictures a second
ENDS_EARLY = "the file ends early: it was cut off or is damaged"
_FEW_STUCK = 5  # pictures of one time are no fault of the recording yet
_LISTED = 5  # times in one note


class Picture(NamedTuple):
    """A decoded picture, still in the codec's own format: converting it is expensive and left to who needs it.

    ``end_s`` is where its own display time ends; until the next picture it stays on the screen in any case, unless
    that one says with ``hole_from_s`` from when on nothing was shown before it.
    """

    time_s: float
    end_s: float
    frame: VideoFrame
    hole_from_s: float | None = None


class Part(NamedTuple):
    """A run of timestamps: from the packet at byte ``place`` on, ``shift_s`` turns them into running time."""

    place: int
    shift_s: float
    begin_s: float


@dataclass(frozen=True)
class Clock:
    """A file's pictures in running time, in seconds.

    Args:
        start_s: the container's time that is 0.
        times_s: of each packet of pictures, in the file's order.
        ordered: whether these are the times of the packets' own pictures. Some formats say only when packets are
            decoded: those times go to pictures in the order in which they are shown.
        keys: numbers of the packets at which decoding can begin.
        at_place: the same by the packet's byte, where it is known.
        hold_s: the longest time for which a picture is believed to stay on.
        end_s: where the last picture ends.
        claimed_s: where a file that was cut off says that it ends; else ``end_s``.
        holes: stretches of more than ``hold_s`` without a picture.
        parts: runs of timestamps, at least one.
    """

    start_s: float
    times_s: Sequence[float]
    ordered: bool
    keys: tuple[int, ...]
    at_place: dict[int, int]
    frame_s: float
    hold_s: float
    end_s: float
    claimed_s: float
    holes: tuple[Span, ...]
    parts: tuple[Part, ...]
    notes: tuple[str, ...]

    def shift_s(self, place: int | None) -> float:
        """What turns a timestamp of the packet at a byte into running time."""
        number = bisect_right(self.parts, place, key=lambda part: part.place) if place is not None else 1
        return self.parts[max(number, 1) - 1].shift_s

    def key_before(self, time_s: float) -> int:
        """The number of the last packet from which decoding shows what is on at a time."""
        return max((number for number in self.keys if self.times_s[number] <= time_s), default=0)

    def empty_s(self, start_s: float, end_s: float) -> float:
        """How much of a stretch lies in holes."""
        return sum(max(min(hole.end_s, end_s) - max(hole.start_s, start_s), 0.0) for hole in self.holes)

    def display_s(self, stated_s: float) -> float:
        """How long a picture is shown that states so much."""
        return stated_s if 0 < stated_s <= self.hold_s else self.frame_s


class _Packets:
    """What a stream's packets say, in the file's order; NaN where they say nothing."""

    def __init__(self) -> None:
        self.shown_s, self.decoded_s, self.display_s = array("d"), array("d"), array("d")
        self.key, self.place = array("b"), array("q")
        self.last_s = -math.inf  # where the last packet of any stream ends

    def add(self, packet: Packet) -> None:
        self.shown_s.append(seconds(packet, packet.pts))
        self.decoded_s.append(seconds(packet, packet.dts))
        self.display_s.append(seconds(packet, packet.duration or None))
        self.key.append(packet.is_keyframe)
        self.place.append(-1 if packet.pos is None else packet.pos)


def clock_of(path: Path) -> Clock:
    """The clock of a file's best video stream; kept until the file changes.

    Raises:
        MediaError: it cannot be opened, or has no video stream.
    """
    return _read(path)


def seconds(packet: Packet, ticks: int | None) -> float:
    """A time of a packet's stream in seconds, NaN for none."""
    return math.nan if ticks is None or packet.time_base is None else float(ticks * packet.time_base)


def nominal_rate_hz(stream: VideoStream) -> float | None:
    """Pictures per second as the file states or implies them, or None (1000 and more is a clock tick)."""
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate and 0 < rate < 1000:
            return float(rate)
    return None


@kept_by_version(8)
def _read(path: Path) -> Clock:
    packets = _Packets()
    with open_container(path) as container:
        stream, edits = video_stream(path, container), EditList()
        for packet in demux(container, tuple(container.streams)):
            if packet.size and packet.stream_index == stream.index and not edits.leaves_out(packet):
                packets.add(packet)
            if packet.size and packet.pts is not None:
                packets.last_s = max(packets.last_s, seconds(packet, packet.pts + (packet.duration or 0)))
            if len(packets.key) >= _MAX_PACKETS:
                break
        name = container.format.name.split(",")[0]
        begin_s = container.start_time / av.time_base if container.start_time is not None else math.inf
        stated_s = _stated_s(container, stream) if name in _STATING else None
        rate_hz = nominal_rate_hz(stream)
    frame_s = _usual(packets.display_s, 1.0 / (rate_hz or 25.0))
    unordered = name == "avi" or _is_patchy(packets)
    if unordered:  # AVI only numbers its packets: where pictures are reordered, libav's guess is wrong
        delay_s = 0.0 if name == "avi" else packets.shown_s[0] - packets.decoded_s[0]
        decoded_s = (*packets.decoded_s, math.nan)  # libav may give two packets the time of the second
        packets.shown_s = array("d", (math.nan if a == b else a + delay_s for a, b in pairwise(decoded_s)))
    known = [time_s for time_s in packets.shown_s[:REORDERED] if not math.isnan(time_s)]
    start_s = min(begin_s, *known) if known else 0.0
    times_s, parts, strays_s = _count_on(packets, start_s, frame_s)
    in_order = sorted(times_s)
    hold_s = max(HOLD_S, _HOLD_FRAMES * _usual((later - time_s for time_s, later in pairwise(in_order)), frame_s))
    end_s = claimed_s = _end_s(times_s, packets.display_s, hold_s, frame_s)
    first = [Span(start_s=0.0, end_s=in_order[0])] if in_order and in_order[0] > hold_s else []
    holes = [
        Span(start_s=time_s + frame_s, end_s=later) for time_s, later in pairwise(in_order) if later - time_s > hold_s
    ]
    notes = [*_notes(parts, strays_s, (*first, *holes)), *(() if name.endswith(_OF_PICTURES) else joined_note(path))]
    if (stuck := sum(time_s == later for time_s, later in pairwise(in_order))) > max(_FEW_STUCK, len(in_order) / 10):
        notes.append(f"{stuck} pictures have the time of the one before them: of these one is seen")
    if stated_s is not None and len(parts) == 1 and not strays_s:
        longest_s = max(packets.last_s, packets.last_s - start_s)
        if stated_s > longest_s + _STATED_S and (name in _INDEXED or is_cut_off(path)):
            claimed_s = stated_s
        elif stated_s > longest_s + _STATED_S or (stated_s < end_s - _STATED_S and name != "mov"):
            notes.append(f"the file states a length of {stated_s:.1f} s, but its pictures end at {end_s:.1f} s")
    claimed_s, broken_at = max(claimed_s, stated_pictures(path) * frame_s), gif_break(path)
    if broken_at is not None:  # what is behind it is known by bytes alone
        claimed_s = max(claimed_s, end_s * path.stat().st_size / broken_at)
    ended = ends_early(path) or broken_at is not None or (name in ("apng", "asf", "avi") and is_cut_off(path))
    if ended and claimed_s < end_s + _STATED_S and another_from(path) is None:
        notes.append(ENDS_EARLY)
    return Clock(
        start_s, times_s, not unordered and bool(known), tuple(n for n, key in enumerate(packets.key) if key),
        _places(packets), frame_s, hold_s, end_s, claimed_s, (*first, *holes), parts, tuple(notes),
    )  # fmt: skip


def _stated_s(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None


def _is_patchy(packets: _Packets) -> bool:
    """Whether many packets have no time, as H.264 in program streams: times do not tell their order then."""
    unknown = sum(map(math.isnan, packets.shown_s))
    return unknown > len(packets.key) / 10 and not math.isnan(packets.shown_s[0] - packets.decoded_s[0])


def _usual(values: Iterable[float], fallback: float) -> float:
    """The median of what is known and above zero."""
    known = [value for value in values if value > 0]
    return median(known) if known else fallback


def _count_on(
    packets: _Packets, start_s: float, frame_s: float
) -> tuple[Sequence[float], tuple[Part, ...], list[float]]:
    """Running times of packets, the parts that their timestamps form, and the times of those not believed."""
    slack_s = max(_LEAP_S, (REORDERED + 1) * frame_s)
    # when packets are decoded runs forward however pictures are reordered; some streams begin to say it late
    order_s, after_s = [0.0] * len(packets.key), math.nan
    for number in reversed(range(len(order_s))):
        after_s = after_s if math.isnan(packets.decoded_s[number]) else packets.decoded_s[number]
        order_s[number] = packets.shown_s[number] if math.isnan(after_s) else after_s
    times_s = array("d")
    parts = [Part(-1, -start_s, 0.0)]
    strays_s: list[float] = []
    end_s, newest_s, last_s = 0.0, -math.inf, -math.inf
    for number, shown_s in enumerate(packets.shown_s):
        order = order_s[number]
        stray = math.isfinite(last_s) and abs(order - last_s) > slack_s and any(
            0 <= after - last_s <= 2 * _STRAY * frame_s for after in order_s[number + 1 : number + 1 + _STRAY]
        )  # fmt: skip
        if math.isnan(shown_s) or stray:
            strays_s += [end_s] if stray else []
            times_s.append(end_s)
            end_s += frame_s
            continue
        again = shown_s < newest_s - _OVERLAP_S if packets.key[number] else order < last_s - slack_s
        if again or shown_s - max(newest_s, start_s) > _FARTHEST_S:
            leading = [
                time_s for time_s in packets.shown_s[number : number + REORDERED] if abs(time_s - shown_s) < slack_s
            ]
            parts.append(Part(packets.place[number], end_s - min(leading), end_s))
            newest_s = -math.inf
        newest_s, last_s = max(newest_s, shown_s), order
        times_s.append(max(shown_s + parts[-1].shift_s, 0.0))
        end_s = max(end_s, times_s[-1] + frame_s)
    return times_s, tuple(parts), strays_s


def _end_s(times_s: Sequence[float], display_s: Sequence[float], hold_s: float, frame_s: float) -> float:
    """Where the picture ends that is shown last. Where that is not the last packet, durations are those of decoding."""
    if not times_s:
        return 0.0
    last_s = max(times_s)
    return last_s + (display_s[-1] if last_s == times_s[-1] and display_s[-1] <= hold_s else frame_s)


def _places(packets: _Packets) -> dict[int, int]:
    """The numbers of key packets by byte; a byte that stands for several is left out."""
    keys = [(place, number) for number, place in enumerate(packets.place) if packets.key[number] and place >= 0]
    shared = Counter(place for place, _ in keys)
    return {place: number for place, number in keys if shared[place] == 1}


def _notes(parts: tuple[Part, ...], strays_s: list[float], holes: tuple[Span, ...]) -> Iterator[str]:
    if len(parts) > 1:
        yield (
            f"timestamps start anew at {_list_some(f'{part.begin_s:.1f}' for part in parts[1:])} s: "
            "what follows is counted on from there"
        )
    if strays_s:
        yield f"timestamps at {_list_some(f'{time_s:.1f}' for time_s in strays_s)} s are not believed: counted on"
    if holes:
        stretches = _list_some(f"{hole.start_s:.1f}-{hole.end_s:.1f}" for hole in holes)
        yield f"the file has no pictures for {stretches} s: that time is not judged"


def _list_some(texts: Iterable[str]) -> str:
    some = list(texts)
    more = f" and {len(some) - _LISTED} more" if len(some) > _LISTED else ""
    return ", ".join(some[:_LISTED]) + more
