"""Decoding a file picture by picture, past damage: a clock that always runs forward, an account of what was lost."""

from collections.abc import Iterator
from fractions import Fraction
from heapq import heappop, heappush
from pathlib import Path
from typing import NamedTuple

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from omnisila.media.clock import Clock, Picture
from omnisila.media.container import check_pixels, video_streams
from omnisila.media.pictures import look_notes

_MAX_IDLE_ERRORS = 1000  # demuxing errors in a row without a packet between them
_TICK_S = 1e-3
_LONG_GAP_S = 1.0  # a hole of this length in a stream that was steady so far is damage, not a slow camera
_STEADY_PICTURES = 24
_ONE_STRETCH_S = 1.0  # losses closer than this are told as one
_DAMAGED = "damaged picture"
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
        self.longest_gap_s = 0.0
        self.trouble: str | None = None
        self.notes: list[str] = []

    def fail(self, reason: str) -> None:
        self.trouble = self.trouble or reason

    def lose(self, start_s: float, end_s: float, reason: str) -> None:
        if end_s - start_s <= _TICK_S:
            return
        lost_s = end_s - start_s
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
        stream: the stream to decode.
        max_pixels: larger pictures are refused.
        start_s: the container's time that becomes 0; None means its own start, or else the first picture.
        duration_s: the duration where it is known: timestamps far beyond it are not believed.
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
        start_s: float | None = None,
        duration_s: float | None = None,
        threads: bool = True,
    ) -> None:
        self._path = path
        self._container = container
        self._stream = stream
        self._max_pixels = max_pixels
        self._sought = False
        check_pixels(path, stream.codec_context.width, stream.codec_context.height, max_pixels)
        self._stream.codec_context.options = {"max_pixels": str(max_pixels)}
        self._stream.thread_type = "AUTO" if threads else "NONE"
        if start_s is None and container.start_time is not None:
            start_s = container.start_time / av.time_base
        rate_hz = nominal_rate_hz(stream)
        self._aspects = (stream.codec_context.sample_aspect_ratio, stream.sample_aspect_ratio)
        self._due: list[int] = []  # timestamps of packets whose pictures have not come yet, a heap
        self._silent = False
        self.account = Account()
        moving = [other for other in video_streams(container) if other.index == stream.index or other.frames != 1]
        if len(moving) > 1:
            number, size = moving.index(stream) + 1, stream.codec_context
            self.account.note(
                f"of {len(moving)} video streams only number {number}, {size.width}x{size.height} px, is analysed"
            )
        self._clock = Clock(start_s, duration_s, 1.0 / rate_hz if rate_hz else None, self.account.note)

    @property
    def start_s(self) -> float:
        """The container's time that is 0 here; known for sure once the first picture came."""
        return self._clock.start_s or 0.0

    def seek(self, time_s: float) -> None:
        """Go to the key frame before a time; libav's error where the container cannot."""
        if self._stream.time_base is None:
            return
        offset_s = time_s + self.start_s
        self._container.seek(int(offset_s / self._stream.time_base), stream=self._stream)
        self._sought = True

    def pictures(self) -> Iterator[Picture]:
        """All intact pictures from here on; what is lost between them goes to the account.

        Raises:
            MediaError: a picture grew beyond the limit on the way.
        """
        last: Picture | None = None
        for picture in self._clock.pictures(self._frames()):
            self._enter(last, picture)
            last = picture
            yield picture

    def packets(self, streams: tuple[Stream, ...]) -> Iterator[Packet]:
        """The packets of some streams, past damage; the last are empty and flush the decoder."""
        errors = 0
        while errors < _MAX_IDLE_ERRORS:
            try:
                for packet in self._container.demux(streams):
                    errors = 0
                    self.account.packets += packet.size > 0
                    yield packet
                return
            except IndexError:  # PyAV, after the last packet, when streams have appeared on the way
                return
            except FFmpegError as error:
                errors += 1
                self.account.fail(error.strerror or str(error))

    def _frames(self) -> Iterator[VideoFrame]:
        for packet in self.packets((self._stream,)):
            if packet.size and packet.pts is not None and not packet.is_discard:
                heappush(self._due, packet.pts)
            try:
                frames = packet.decode()
            except FFmpegError as error:
                self.account.fail(error.strerror or str(error))
                continue
            for frame in frames:
                check_pixels(self._path, frame.width, frame.height, self._max_pixels)
                frame.opaque = self._sample_aspect()
                self._settle(frame)
                if frame.is_corrupt:
                    self.account.fail(_DAMAGED)
                else:
                    yield frame

    def _sample_aspect(self) -> Fraction | None:
        """The pixels' shape: the container's word, until the stream itself changes on the way."""
        at_first, stated = self._aspects
        current = self._stream.codec_context.sample_aspect_ratio
        return stated if current == at_first else current

    def _settle(self, frame: VideoFrame) -> None:
        """Strike a picture off those due; packets before it that never became pictures were damaged in silence.

        Some codecs have packets that are never shown: they leave no hole in time, so ``_enter`` lets them pass.
        """
        while frame.pts is not None and self._due and self._due[0] <= frame.pts:
            if heappop(self._due) < frame.pts:
                self._silent = True

    def _enter(self, last: Picture | None, picture: Picture) -> None:
        account = self.account
        if last is None:
            if account.trouble and not self._sought:
                account.lose(0.0, picture.time_s, account.trouble)
        else:
            gap_s = picture.time_s - last.end_s
            steady = account.pictures >= _STEADY_PICTURES and account.longest_gap_s < _LONG_GAP_S / 4
            dropped = self._silent and gap_s > _TICK_S
            if account.trouble or dropped or (steady and gap_s > _LONG_GAP_S):
                reason = account.trouble or (_DAMAGED if dropped else "nothing readable in the file")
                account.lose(last.end_s, picture.time_s, reason)
            else:
                account.longest_gap_s = max(account.longest_gap_s, gap_s)
        for text in look_notes(picture.frame, last and last.frame, picture.time_s):
            account.note(text)
        account.trouble, self._silent = None, False
        account.pictures += 1


def nominal_rate_hz(stream: VideoStream) -> float | None:
    """Pictures per second as the file states or implies them, or None (1000 and more is a clock tick)."""
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate and 0 < rate < 1000:
            return float(rate)
    return None
