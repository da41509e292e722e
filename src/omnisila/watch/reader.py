"""One stream read for days: opened, watched for stalls, opened again; frames to a queue, packets to a ring."""

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import NamedTuple

import av
from av.container import InputContainer
from av.error import (
    ExitError,
    FFmpegError,
    HTTPForbiddenError,
    HTTPNotFoundError,
    HTTPUnauthorizedError,
    InvalidDataError,
)
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from omnisila.media.clock import HOLD_S, Picture
from omnisila.media.conversion import PictureConverter
from omnisila.media.grid import on_grid
from omnisila.media.pictures import shown_size
from omnisila.media.video import luma_frames
from omnisila.pace import Backoff
from omnisila.scenes.profile import Profile
from omnisila.watch.address import Address
from omnisila.watch.frame_queue import Arrived, Closed, FrameQueue, Opened
from omnisila.watch.meters import Meter
from omnisila.watch.ring import PacketRing
from omnisila.watch.settings import WatchSettings

_LUMA_LONG_SIDE_PX = 160
_PROTOCOLS = {
    "rtsp": "rtsp,rtsps,rtp,srtp,udp,tcp,tls,crypto",
    "http": "http,https,tcp,tls,crypto,httpproxy",
    "file": "file",
    "device": "file",
}
_PROBE = {"analyzeduration": "500000", "probesize": "262144"}  # what opening waits for: half a second of stream


class StreamLostError(Exception):
    """Why a stream ended, in words without its address; ``refused`` where asking again soon would not help."""

    def __init__(self, reason: str, refused: bool = False) -> None:
        super().__init__(reason)
        self.refused = refused


class Shown(NamedTuple):
    """A decoded picture with the wall clock at which it came."""

    picture: Picture
    at_s: float


class Reader:
    """The thread that reads one stream; ``rings`` has the packets of each connection by its number.

    Args:
        address: where it is.
    """

    def __init__(
        self, address: Address, profile: Profile, settings: WatchSettings, queue: FrameQueue, meter: Meter
    ) -> None:
        self.address, self.settings, self.queue, self.meter = address, settings, queue, meter
        self.rings: dict[int, PacketRing] = {}
        self._profile = profile
        self._stop = threading.Event()
        self._number = 0
        self._thread = threading.Thread(target=self._run, name=f"read {address.name}", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """End soon: within the time that a read may take."""
        self._stop.set()

    def join(self, timeout_s: float) -> None:
        """Wait for the end."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        backoff = Backoff()
        while not self._stop.is_set():
            before = self.meter.frames
            try:
                self._read()
                lost = StreamLostError("the stream ended")
            except StreamLostError as error:
                lost = error
            except Exception as error:  # a fault in one camera must not end it, nor the others
                lost = StreamLostError(f"{type(error).__name__} while reading")
            self.meter.connected = False
            self.queue.put(Closed(str(lost)))
            if not self.address.is_live:
                break
            settings = self.settings
            first_s = settings.refused_s if lost.refused else settings.retry_s
            most_s = max(settings.retry_max_s, 10 * settings.refused_s if lost.refused else 0.0)
            if self.meter.frames > before:
                backoff.reset()
            self._stop.wait(backoff.next_s(first_s, most_s))
        self.queue.close()

    def _read(self) -> None:
        with closing(self._open()) as container:
            stream = container.streams.video[0]
            stream.thread_type = "NONE"  # frame threads would hold pictures back
            self._number += 1
            ring = PacketRing(stream, self.settings.clip_s + self.settings.pre_s + self.settings.post_s + 30.0)
            shown = self._show(container, stream, ring)
            try:
                first = next(shown, None)
            except FFmpegError as error:
                raise _lost(error) from None
            if first is None:
                raise StreamLostError("the stream ended before its first picture")
            self.rings[self._number] = ring
            begin = datetime.fromtimestamp(first.at_s, UTC) - timedelta(seconds=first.picture.time_s)
            self.meter.opened(self._number)
            size = shown_size(first.picture.frame)
            self.queue.put(Opened(self._number, begin, *size))
            rate_hz, per_frame = self._profile.rate_hz, self._profile.luma_per_frame
            pictures = (item.picture for item in itertools.chain([first], shown))
            grid = on_grid(pictures, rate_hz * per_frame)
            convert = PictureConverter(size, self._profile.long_side_px)
            small = PictureConverter(size, _LUMA_LONG_SIDE_PX)
            try:
                for frame in luma_frames(grid, rate_hz, per_frame, convert, small):
                    self.meter.frames += 1
                    self.meter.dropped += self.queue.put(Arrived(frame, time.monotonic()))
            except FFmpegError as error:
                raise _lost(error) from None

    def _open(self) -> InputContainer:
        """The stream, opened.

        Raises:
            StreamLostError: it cannot be.
        """
        container = self._try(self.settings.stall_s)
        if not container.streams.video or container.streams.video[0].codec_context is None:
            container.close()
            raise StreamLostError("there is no video in the stream", refused=True)
        rate = container.streams.video[0].average_rate
        if rate and 2 / rate > self.settings.stall_s:  # a slow camera is given two of its intervals
            container.close()
            container = self._try(float(2 / rate))
        return container

    def _try(self, stall_s: float) -> InputContainer:
        address = self.address
        options = {**_PROBE, "protocol_whitelist": _PROTOCOLS[address.kind]}
        if address.kind == "rtsp":
            options["rtsp_transport"] = self.settings.transport
        try:
            return av.open(
                f"file:{address.url}" if address.kind == "file" else address.url,
                format="v4l2" if address.kind == "device" else None,
                options=options,
                # libav's RTSP tries twice, so that an error comes after two of these
                timeout=(self.settings.open_s, stall_s / 2 if address.kind == "rtsp" else stall_s),
            )
        except (FFmpegError, OSError, ValueError) as error:
            raise _lost(error) from None

    def _show(self, container: InputContainer, stream: VideoStream, ring: PacketRing) -> Iterator[Shown]:
        """Pictures in time order from the first key picture on, time 0; their packets go into the ring."""
        clock = _StreamClock(stream.time_base or Fraction(1, 90_000))
        stall_s = max(self.settings.stall_s, float(2 / stream.average_rate) if stream.average_rate else 0.0)
        newest_s = time.monotonic()
        last: Picture | None = None
        early: list[Packet] = []  # before the first picture says when time begins
        for packet in _stamp(container, stream):
            if self._stop.is_set():
                return
            now_s = time.monotonic()
            if now_s - newest_s > stall_s and self.address.is_live:
                raise StreamLostError(f"no picture for {now_s - newest_s:.1f} s")
            early.append(packet)
            if clock.began:
                _keep(early, clock, ring)
            try:
                frames = packet.decode()
            except FFmpegError:
                self.meter.damaged += 1
                continue
            for frame in frames:
                if frame.is_corrupt:
                    self.meter.damaged += 1
                    continue
                time_s = clock.of(frame, last)
                if last is None:
                    _keep(early, clock, ring)
                if last is not None and time_s <= last.time_s:
                    if last.time_s - time_s > HOLD_S:
                        raise StreamLostError("its timestamps jumped back")
                    continue
                if last is not None and time_s - last.time_s > HOLD_S:
                    raise StreamLostError("its timestamps jumped ahead")
                aspect = stream.sample_aspect_ratio
                frame.opaque = aspect and Fraction(aspect)
                newest_s = time.monotonic()
                self.meter.newest_s = newest_s
                last = Picture(time_s, time_s, frame)
                yield Shown(last, time.time())


class _StreamClock:
    """Timestamps of one connection as seconds from its first picture; without timestamps, by arrival."""

    def __init__(self, time_base: Fraction) -> None:
        self._time_base = time_base
        self._first: int | None = None
        self._began_s: float | None = None

    @property
    def began(self) -> bool:
        return self._first is not None

    def time_s(self, ticks: int) -> float:
        return float((ticks - (self._first or 0)) * self._time_base)

    def of(self, frame: VideoFrame, last: Picture | None) -> float:
        if frame.pts is None:
            now_s = time.monotonic()
            self._began_s = self._began_s or now_s - (last.time_s if last else 0.0)
            return now_s - self._began_s
        if self._first is None:
            self._first = frame.pts
        return self.time_s(frame.pts)


def _stamp(container: InputContainer, stream: VideoStream) -> Iterator[Packet]:
    """The packets from the first key picture on; one without a timestamp, as RTSP's first is, gets the next's."""
    waiting: Packet | None = None
    begun = False
    for packet in container.demux(stream):
        if not begun and not packet.is_keyframe:
            continue
        begun = True
        if waiting is not None:
            if packet.pts is not None:
                step = packet.duration or _step(stream)
                waiting.pts, waiting.dts = packet.pts - step, (packet.dts or packet.pts) - step
            yield waiting
            waiting = None
        elif packet.size and packet.pts is None:
            waiting = packet
            continue
        yield packet


def _keep(packets: list[Packet], clock: _StreamClock, ring: PacketRing) -> None:
    for packet in packets:
        if packet.size and packet.pts is not None:
            ring.add(packet, clock.time_s(packet.pts))
    packets.clear()


def _step(stream: VideoStream) -> int:
    """A frame's ticks."""
    rate = stream.average_rate or stream.guessed_rate or Fraction(25)
    return max(round(1 / (rate * (stream.time_base or Fraction(1, 90_000)))), 1)


def _lost(error: Exception) -> StreamLostError:
    """An error of libav in words; its own text holds the address, with its password."""
    match error:
        case HTTPUnauthorizedError() | HTTPForbiddenError():
            return StreamLostError("the server refuses user or password (401)", refused=True)
        case HTTPNotFoundError():
            return StreamLostError("the server has no such stream (404)", refused=True)
        case ExitError():
            return StreamLostError("no picture came in time")
        case InvalidDataError():
            return StreamLostError("what comes is no stream of video")
        case FFmpegError():
            return StreamLostError((error.strerror or type(error).__name__).lower())
    return StreamLostError(type(error).__name__)
