"""The sound of a file as one channel of float32 at 16 kHz, on the pictures' clock, read in bounded memory.

Time 0 is the container's start, as for ``VideoReader``; sample ``i`` of a stretch is heard at ``start_s + i / 16000``.
Channels are averaged; where the track has a hole there is silence. A file without sound is no error: ``Sound`` says
what is missing.
"""

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import torch
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from jaxtyping import Float
from torch import Tensor

from omnisila.config import Config
from omnisila.errors import MediaError
from omnisila.media.clock import Clock, clock_of
from omnisila.media.container import check_file, demux, open_container

RATE_HZ = 16_000
SILENT_PEAK = 1e-4  # -80 dBFS: below it a track is a muted microphone's
_FULL_SCALE = 1.0 - 2.0**-14
_CLIPPED_FRAC = 0.01  # a full-scale tone of 16 bits stays below; speech that is cut off is far above
_SHORT_S = 0.5
_HOLE_S = 0.1  # timestamps of blocks that follow each other round and drift by less
_UNCOVERED_S = 0.25
_BEYOND_S = 60.0  # past the stated end: timestamps there are not believed
_SEEK_FROM_S = 2.0  # up to here decoding from the beginning is cheaper than a seek
_PLANES = 8  # PyAV reads no more planes of a frame, but crashes


class SoundLimits(Config):
    """What keeps a long file from filling the memory: 16,000 samples of 4 bytes a second are kept."""

    max_seconds: float = 600.0


@dataclass(frozen=True)
class Sound:
    """A stretch of a file's sound.

    Args:
        start_s: time of the first sample.
        samples: in -1..1, the whole stretch; zero where nothing is heard.
        heard_s: from when to when the track lasts within the stretch; None where there is none.
    """

    start_s: float
    samples: Float[Tensor, "samples"]
    heard_s: tuple[float, float] | None
    warnings: tuple[str, ...] = ()

    @property
    def present(self) -> bool:
        """Whether anything is heard; a muted track is as good as none."""
        return self.heard_s is not None and bool(self.samples.abs().amax() >= SILENT_PEAK)


class Block(NamedTuple):
    """Consecutive samples at 16 kHz and the time of the first."""

    time_s: float
    samples: Float[np.ndarray, "samples"]


class SoundReader:
    """A file's best sound track, decoded block by block.

    ``codec`` and ``rate_hz`` are the track's own, None without one. What a pass met stands in the counters until the
    next pass.

    Raises:
        MediaError: the file is missing, empty, or nothing that libav opens.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self._path = Path(path)
        check_file(self._path)
        self.codec: str | None = None
        self.rate_hz: int | None = None
        self.readable = False
        with open_container(self._path) as container:
            stream = _track(container)
            self._pictured = bool(container.streams.video)
            if stream is not None:
                context: Any = stream.codec_context
                self.readable = context is not None
                self.codec = context.name if self.readable else "unknown codec"
                self.rate_hz = context.sample_rate if self.readable else None
        self._begin()

    def _begin(self) -> None:
        self.samples = self.full_scale = self.damaged = self.not_finite = 0

    @property
    def full_scale_frac(self) -> float:
        """Share of the track's own samples at the largest value there is, in the latest pass."""
        return self.full_scale / self.samples if self.samples else 0.0

    def blocks(self, start_s: float = 0.0, end_s: float | None = None) -> Iterator[Block]:
        """The sound from a block at or before ``start_s`` to the last before ``end_s``; nothing without a track."""
        self._begin()
        if not self.readable:
            return
        with open_container(self._path) as container:
            stream: Any = _track(container)
            clock = self._clock()
            origin_s = container.start_time / av.time_base if container.start_time is not None else 0.0
            origin_s = origin_s if clock is None else clock.start_s
            if start_s > _SEEK_FROM_S and (clock is None or len(clock.parts) == 1):
                with suppress(FFmpegError):
                    container.seek(int((start_s + origin_s) / stream.time_base), stream=stream)
            last_s = clock.end_s + _BEYOND_S if clock is not None else math.inf
            run: _Run | None = None
            for packet, frame in self._frames(container, stream):
                stamp_s = _stamp_s(frame, -origin_s if clock is None else clock.shift_s(packet.pos))
                if stamp_s is not None and stamp_s > last_s:
                    stamp_s = None  # sound may go on behind the pictures, but not for hours
                if run is None or not run.continues(frame, stamp_s):
                    begin_s = max(stamp_s or 0.0, run.end_s if run else -_HOLE_S)
                    if run is not None:
                        yield from self._intact(run.rest())
                    run = _Run(frame, begin_s)
                if end_s is not None and run.end_s >= end_s:
                    break
                yield from self._intact(run.blocks(frame))
            if run is not None:
                yield from self._intact(run.rest())

    def _intact(self, blocks: Iterator[Block]) -> Iterator[Block]:
        """The blocks, as far as the resampler takes the track's form."""
        try:
            yield from blocks
        except (FFmpegError, ValueError):
            self.damaged += 1

    def _clock(self) -> Clock | None:
        """The pictures' clock; None where there are none."""
        with suppress(MediaError):
            return clock_of(self._path) if self._pictured else None
        return None

    def _frames(self, container: InputContainer, stream: AudioStream) -> Iterator[tuple[Packet, AudioFrame]]:
        for packet in demux(container, (stream,), self._fail):
            try:
                frames: Any = packet.decode()
            except FFmpegError:
                self.damaged += 1
                continue
            for frame in frames:
                if frame.samples and frame.sample_rate:
                    self._measure(frame)
                    yield packet, frame

    def _fail(self, _error: FFmpegError) -> None:
        self.damaged += 1

    def _measure(self, frame: AudioFrame) -> None:
        """Full scale is told from the track's own samples: resampling rounds it off."""
        if frame.format.is_planar and frame.layout.nb_channels > _PLANES:
            return
        raw: Any = frame.to_ndarray()
        if raw.dtype.kind == "u":
            level = np.abs(raw.astype(np.float32) - 128.0) / 127.0
        elif raw.dtype.kind == "i":
            level = np.abs(raw.astype(np.float64)) / np.iinfo(raw.dtype).max
        else:
            level = np.abs(raw)
            self.not_finite += int((~np.isfinite(raw)).sum())
        self.samples += level.size
        self.full_scale += int((level >= _FULL_SCALE).sum())


class _Run:
    """Frames of one format that follow each other without a hole, resampled together."""

    def __init__(self, frame: AudioFrame, time_s: float) -> None:
        self._form = _form(frame)
        self._resampler = av.AudioResampler(format="flt", layout=frame.layout, rate=RATE_HZ)
        self._channels = frame.layout.nb_channels
        self.end_s = time_s
        self._at_s = time_s

    def continues(self, frame: AudioFrame, stamp_s: float | None) -> bool:
        """Whether a frame comes next; one without a time, or whose clock starts over, is counted on."""
        return _form(frame) == self._form and (stamp_s is None or stamp_s < self.end_s + _HOLE_S)

    def blocks(self, frame: AudioFrame) -> Iterator[Block]:
        self.end_s += frame.samples / frame.sample_rate
        frame.pts = None  # the resampler would stretch sound to fit rounded stamps
        yield from self._place(frame)

    def rest(self) -> Iterator[Block]:
        yield from self._place(None)

    def _place(self, frame: AudioFrame | None) -> Iterator[Block]:
        for part in self._resampler.resample(frame):
            # libav's own mixing adds channels up beyond full scale; an average cannot
            channels = part.to_ndarray().reshape(-1, self._channels)
            samples = np.nan_to_num(channels, nan=0.0, posinf=1.0, neginf=-1.0).mean(1)
            yield Block(self._at_s, samples)
            self._at_s += len(samples) / RATE_HZ


def read_sound(
    path: str | PathLike[str], start_s: float = 0.0, end_s: float | None = None, limits: SoundLimits | None = None
) -> Sound:
    """The sound of [start_s, end_s), to the track's end where no end is given.

    Raises:
        MediaError: the file cannot be opened. No track, a damaged or a silent one is a warning.
    """
    reader = SoundReader(path)
    most_s = (limits or SoundLimits()).max_seconds
    stop_s = start_s + most_s if end_s is None else min(end_s, start_s + most_s)
    kept: list[tuple[int, np.ndarray]] = []
    for block in reader.blocks(start_s, stop_s):
        first = round((block.time_s - start_s) * RATE_HZ)
        samples = block.samples[max(-first, 0) : max(round((stop_s - start_s) * RATE_HZ) - first, 0)]
        if len(samples):
            kept.append((max(first, 0), samples))
    heard = max((first + len(samples) for first, samples in kept), default=0)
    whole = np.zeros(heard if end_s is None else round((stop_s - start_s) * RATE_HZ), np.float32)
    for first, samples in kept:
        whole[first : first + len(samples)] = samples
    heard_s = (start_s + kept[0][0] / RATE_HZ, start_s + heard / RATE_HZ) if kept else None
    sound = Sound(start_s, torch.from_numpy(whole), heard_s)
    return replace(sound, warnings=(*_notes(sound, reader), *_gaps(sound, stop_s, end_s)))


def _notes(sound: Sound, reader: SoundReader) -> Iterator[str]:
    """What is wrong with the track and with what is heard."""
    if reader.codec is None:
        yield "there is no sound track"
        return
    if not reader.readable:
        yield "the sound cannot be decoded: no decoder for its codec"
        return
    if reader.damaged:
        yield f"{reader.damaged} damaged packets of sound were left out"
    if sound.heard_s is None:
        yield f"the sound track ({reader.codec}) holds nothing here"
        return
    if not sound.present:
        yield "the sound is silent (its peak is below -80 dBFS): taken as none"
        return
    if reader.not_finite:
        yield f"{reader.not_finite} samples of sound are no numbers"
    if reader.full_scale_frac > _CLIPPED_FRAC:
        yield f"{100 * reader.full_scale_frac:.0f} % of the sound is at full scale: it may be clipped"
    if reader.rate_hz is not None and reader.rate_hz < RATE_HZ:
        yield f"the sound is sampled at {reader.rate_hz} Hz: nothing above {reader.rate_hz // 2} Hz is in it"


def _gaps(sound: Sound, stop_s: float, end_s: float | None) -> Iterator[str]:
    """How much of the stretch that was asked for is missing."""
    if sound.heard_s is None or not sound.present:
        return
    heard_s = sound.heard_s[1] - sound.heard_s[0]
    if heard_s < _SHORT_S:
        yield f"the sound lasts {heard_s:.2f} s only"
    if end_s is not None and stop_s - sound.start_s - heard_s > _UNCOVERED_S:
        yield f"the sound covers {heard_s:.1f} of {stop_s - sound.start_s:.1f} s"
    full = sound.heard_s[1] >= stop_s - 1 / RATE_HZ
    if full and (end_s is None or end_s > stop_s):
        yield f"the sound was read up to {stop_s:.0f} s only (SoundLimits.max_seconds)"


def _track(container: InputContainer) -> AudioStream | None:
    best = container.streams.best("audio")
    return next((stream for stream in container.streams.audio if best is not None and stream.index == best.index), None)


def _stamp_s(frame: AudioFrame, shift_s: float) -> float | None:
    if frame.pts is None or frame.time_base is None:
        return None
    return float(frame.pts * frame.time_base) + shift_s


def _form(frame: AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate
