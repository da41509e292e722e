"""The last packets of a stream, from which clips are written as they came: nothing is coded again."""

import io
import threading
from collections import deque
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from omnisila.errors import MediaError
from omnisila.files import named_failure, path_aside

_IN_MP4 = frozenset({"h264", "hevc", "mpeg4", "av1", "vp9", "mjpeg"})
_MAX_BYTES = 256_000_000  # of one ring: a clip of a stream of more than this begins later


class Kept(NamedTuple):
    """A packet: its content, when it is shown and decoded (in ticks), and its time in the stream's seconds."""

    content: bytes
    pts: int
    dts: int
    duration: int
    is_key: bool
    time_s: float


class PacketRing:
    """The packets of the last ``keep_s`` seconds, from a key picture on; safe between a reader and a writer.

    Args:
        stream: whose packets they are; the ring may outlive its container.
    """

    def __init__(self, stream: VideoStream, keep_s: float) -> None:
        self._stream: VideoStream | None = stream
        self._describe: InputContainer | None = None
        self._codec = stream.codec_context.name
        self._time_base = stream.time_base or Fraction(1, 90_000)
        self._keep_s = keep_s
        self._packets: deque[Kept] = deque()
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def suffix(self) -> str:
        """Of the files it writes."""
        return ".mp4" if self._codec in _IN_MP4 else ".mkv"

    @property
    def end_s(self) -> float:
        """How far it reaches."""
        with self._lock:
            return max((packet.time_s for packet in list(self._packets)[-16:]), default=0.0)

    def add(self, packet: Packet, time_s: float) -> None:
        """Keep a packet; the oldest group of pictures goes when it lies before what is kept."""
        if packet.pts is None:
            return
        dts = packet.pts if packet.dts is None else packet.dts
        kept = Kept(bytes(packet), packet.pts, dts, packet.duration or 0, packet.is_keyframe, time_s)
        with self._lock:
            if not self._packets and not kept.is_key:
                return
            if self._stream is not None:
                self._describe, self._stream = _describe(self._stream, packet), None
            self._packets.append(kept)
            self._bytes += len(kept.content)
            while (second := self._second_key()) is not None and (
                self._packets[second].time_s <= time_s - self._keep_s or self._bytes > _MAX_BYTES
            ):
                for _ in range(second):
                    self._bytes -= len(self._packets.popleft().content)

    def write(self, path: Path, start_s: float, end_s: float) -> float:
        """Write [start_s, end_s) from the last key picture before it, aside and renamed; the time of its first picture.

        Raises:
            MediaError: nothing of it is kept.
            OutputError: it cannot be written.
        """
        with self._lock:
            packets = list(self._packets)
        first = max(
            (n for n, packet in enumerate(packets) if packet.is_key and packet.time_s <= start_s + 1e-6), default=0
        )
        chosen = [packet for packet in packets[first:] if packet.time_s < end_s]
        if not chosen:
            raise MediaError(
                f"{path}: nothing between {start_s:.1f} and {end_s:.1f} s is kept. Keep more of the stream."
            )
        with named_failure(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path_aside(path, path.suffix) as aside:
                self._mux(aside, chosen)
        return min(item.time_s for item in chosen)

    def _mux(self, path: Path, packets: list[Kept]) -> None:
        assert self._describe is not None  # made of the first packet
        with av.open(str(path), "w", options={"movflags": "+faststart"} if path.suffix == ".mp4" else {}) as output:
            stream = output.add_stream_from_template(self._describe.streams.video[0])
            begin = min(min(packet.pts, packet.dts) for packet in packets)
            before = -1
            for item in packets:
                packet = Packet(item.content)
                packet.stream, packet.time_base = stream, self._time_base
                packet.dts = before = max(item.dts - begin, before + 1)
                packet.pts = max(item.pts - begin, before)
                packet.duration, packet.is_keyframe = item.duration, item.is_key
                output.mux(packet)

    def _second_key(self) -> int | None:
        """The number of the second key packet."""
        return next((n for n, packet in enumerate(self._packets) if n and packet.is_key), None)


def _describe(stream: VideoStream, first: Packet) -> InputContainer:
    """A container that describes the stream and lives on when the stream's own is closed.

    NUT keeps a codec's description as it is; other formats rewrite H.264's, and its packets would no longer fit.
    """
    file = io.BytesIO()
    with av.open(file, "w", format="nut") as output:
        copy = output.add_stream_from_template(stream)
        packet = Packet(bytes(first))
        packet.pts = packet.dts = 0
        packet.time_base, packet.is_keyframe, packet.stream = stream.time_base or Fraction(1, 90_000), True, copy
        output.mux(packet)
    return av.open(io.BytesIO(file.getvalue()), "r")
