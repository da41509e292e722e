"""Decoding a file picture by picture, past damage, on the file's clock; an account of what was lost."""

from collections.abc import Iterator
from fractions import Fraction
from heapq import heapify, heappop, heappush
from pathlib import Path
from typing import NamedTuple

from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from omnisila.media.clock import REORDERED, Clock, Picture
from omnisila.media.container import EditList, check_pixels, demux, video_streams
from omnisila.media.pictures import look_notes

_TICK_S = 1e-3
_ONE_STRETCH_S = 1.0  # losses closer than this are told as one
DAMAGED = "damaged picture"
_HEADLESS = "the file begins between key pictures"
_LISTED = 5  # an account stays small however broken the file


class Stretch(NamedTuple):
    """A stretch in which ``lost_s`` seconds gave no picture, and the first reason."""

    start_s: float
    end_s: float
    lost_s: float
    reason: str


class Account:
    """What one pass over a file decoded and lost; ``trouble`` is the first error since the latest good picture."""

    def __init__(self) -> None:
        self.lost: list[Stretch] = []
        self.lost_s = 0.0
        self.pictures = 0
        self.packets = 0
        self.trouble: str | None = None
        self.notes: list[str] = []

    def fail(self, reason: str) -> None:
        self.trouble = self.trouble or reason

    def lose(self, start_s: float, end_s: float, reason: str, empty_s: float = 0.0) -> None:
        """Enter a stretch without a picture, for ``empty_s`` of which the file has none."""
        lost_s = end_s - start_s - empty_s
        if lost_s <= _TICK_S:
            return
        self.lost_s += lost_s
        if self.lost and start_s - self.lost[-1].end_s < _ONE_STRETCH_S:
            last = self.lost[-1]
            self.lost[-1] = last._replace(end_s=end_s, lost_s=last.lost_s + lost_s)
        elif len(self.lost) < _LISTED:
            self.lost.append(Stretch(start_s, end_s, lost_s, reason))

    def note(self, text: str) -> None:
        if len(self.notes) < _LISTED:
            self.notes.append(text)


class Decoder:
    """Streams one video stream's pictures in presentation order, once.

    Args:
        path: only for messages.
        container: opened; the decoder does not close it.
        max_pixels: larger pictures are refused.
        threads: let libav use several; without, the first picture comes sooner.

    Raises:
        MediaError: the stream's pictures are larger than the limit.
    """

    def __init__(
        self,
        path: Path,
        container: InputContainer,
        stream: VideoStream,
        max_pixels: int,
        clock: Clock,
        threads: bool = True,
    ) -> None:
        self._path = path
        self._container = container
        self._stream = stream
        self._max_pixels = max_pixels
        self._clock = clock
        check_pixels(path, stream.codec_context.width, stream.codec_context.height, max_pixels)
        self._stream.codec_context.options = {"max_pixels": str(max_pixels)}
        self._stream.thread_type = "AUTO" if threads else "NONE"
        self._due: list[tuple[float, int]] = []  # times and numbers of packets whose pictures have not come, a heap
        self._refused_s: list[float] = []  # times of packets that were damaged
        self._silent = False
        self.account = Account()
        self._aspects = (stream.codec_context.sample_aspect_ratio, stream.sample_aspect_ratio)
        moving = [other for other in video_streams(container) if other.index == stream.index or other.frames != 1]
        if len(moving) > 1:
            number, size = moving.index(stream) + 1, stream.codec_context
            self.account.note(
                f"of {len(moving)} video streams only number {number}, {size.width}x{size.height} px, is analysed"
            )

    def pictures(self, start_s: float = 0.0, seek: bool = False) -> Iterator[Picture]:
        """All intact pictures from the last key picture at or before a time; what is lost goes to the account.

        Args:
            start_s: what comes before its key picture is not decoded.
            seek: leap there; nothing comes where the container leaps elsewhere.

        Raises:
            MediaError: a picture grew beyond the limit on the way.
        """
        first = self._clock.key_before(start_s)
        last: Picture | None = None
        for frame in self._frames(first, seek):
            time_s = self._time_of(frame, last)
            if frame.is_corrupt:
                self.account.fail(DAMAGED)
                continue
            if last is not None and time_s <= last.time_s:
                continue
            stated_s = float(frame.duration * frame.time_base) if frame.duration and frame.time_base else 0.0
            end_s = min(time_s + self._clock.display_s(stated_s), max(self._clock.end_s, time_s + self._clock.frame_s))
            picture = Picture(time_s, end_s, frame, self._hole(last, time_s, first))
            self._enter(last, picture, first)
            last = picture
            yield picture

    def _frames(self, first: int, seek: bool) -> Iterator[VideoFrame]:
        """Frames from packet ``first`` on; ``pts`` is the number of the packet that a frame came in."""
        number, edits = 0, EditList()
        if seek:
            self._seek(first)
        for packet in demux(self._container, (self._stream,), self._fail):
            if packet.size and not edits.leaves_out(packet):
                if seek:
                    landed = None if packet.pos is None else self._clock.at_place.get(packet.pos)
                    if landed is None:
                        continue
                    if landed > first:
                        return
                    number, seek = landed, False
                packet = _unmark(packet)
                packet.pts = number
                number += 1
                if number <= first:
                    continue
                self.account.packets += 1
                heappush(self._due, (self._scheduled_s(packet.pts), packet.pts))
            try:
                frames = packet.decode()
            except FFmpegError as error:
                self._fail(error)
                if not self._clock.ordered and packet.size:  # its time goes to no other picture
                    self._refused_s.append(self._scheduled_s(number - 1))
                    self._due = [due for due in self._due if due[1] != number - 1]
                    heapify(self._due)
                continue
            for frame in frames:
                check_pixels(self._path, frame.width, frame.height, self._max_pixels)
                # a new object each: PyAV forgets it for all frames that hold the same one when the first of them goes
                aspect = self._sample_aspect()
                frame.opaque = aspect and Fraction(aspect)
                yield frame

    def _sample_aspect(self) -> Fraction | None:
        """The pixels' shape: the container's word, until the stream itself changes on the way."""
        at_first, stated = self._aspects
        current = self._stream.codec_context.sample_aspect_ratio
        return stated if current == at_first else current

    def _seek(self, first: int) -> None:
        """Go before a key packet; libav's error where the container cannot."""
        if self._stream.time_base is not None:
            # some formats are searched by when packets are decoded, which is earlier
            stamp_s = self._clock.times_s[first] - self._clock.parts[0].shift_s - REORDERED * self._clock.frame_s
            self._container.seek(round(stamp_s / self._stream.time_base), stream=self._stream)

    def _fail(self, error: FFmpegError) -> None:
        self.account.fail(error.strerror or str(error))

    def _scheduled_s(self, number: int) -> float:
        times_s = self._clock.times_s
        return times_s[number] if number < len(times_s) else self._clock.end_s

    def _time_of(self, frame: VideoFrame, last: Picture | None) -> float:
        """A frame's time; packets before it that never became pictures were damaged in silence.

        Some codecs have packets that are never shown: they leave no hole in time, so ``_enter`` lets them pass.
        """
        number = frame.pts
        if self._clock.ordered and number is not None:
            time_s = self._scheduled_s(number)
            while self._due and self._due[0] <= (time_s, number):
                self._silent |= heappop(self._due)[1] != number
            return time_s
        if frame.key_frame and number is not None:  # all that came before a key picture in the file is shown before it
            kept = [due for due in self._due if due[1] >= number]
            self._silent |= len(kept) < len(self._due)
            self._due = kept
            heapify(kept)
        if not self._due:
            return last.end_s if last is not None else 0.0
        time_s = heappop(self._due)[0]
        self._silent |= any(refused_s < time_s for refused_s in self._refused_s)
        self._refused_s = [refused_s for refused_s in self._refused_s if refused_s >= time_s]
        return time_s

    def _hole(self, last: Picture | None, time_s: float, first: int) -> float | None:
        """Where a hole before a picture begins, if there is one."""
        if last is None:
            return 0.0 if time_s > self._clock.hold_s and first == 0 else None
        return last.end_s if time_s - last.time_s > self._clock.hold_s else None

    def _enter(self, last: Picture | None, picture: Picture, first: int) -> None:
        account = self.account
        begin_s = last.end_s if last is not None else 0.0
        if (account.trouble or self._silent) and (last is not None or first == 0):
            empty_s = self._clock.empty_s(begin_s, picture.time_s)
            reason = DAMAGED if last is not None else _HEADLESS
            account.lose(begin_s, picture.time_s, account.trouble or reason, empty_s)
        for text in look_notes(picture.frame, last and last.frame, picture.time_s):
            account.note(text)
        account.trouble, self._silent = None, False
        account.pictures += 1


def _unmark(packet: Packet) -> Packet:
    """A packet that libav decodes to a picture, although it may be marked as one that is not shown."""
    if not packet.is_discard:
        return packet
    copy = Packet(bytes(packet))
    copy.stream, copy.time_base, copy.is_keyframe = packet.stream, packet.time_base, packet.is_keyframe
    return copy
