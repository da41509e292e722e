"""One file as a re-readable source of pictures: a video container, or a still picture held for a second."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image

from omnisila.config import Config, Frozen
from omnisila.errors import MediaError
from omnisila.files import path_text
from omnisila.media.clock import ENDS_EARLY, Clock, Picture, clock_of, nominal_rate_hz
from omnisila.media.container import check_file, check_pixels, open_container, open_picture, video_stream
from omnisila.media.decoder import DAMAGED, Account, Decoder
from omnisila.media.grid import TIME_TOLERANCE_S
from omnisila.media.image_files import PICTURE_ERRORS, WebPAnimation, frame_of
from omnisila.media.joined import joined_note
from omnisila.media.layout import ends_early
from omnisila.media.pictures import Orientation, look_notes, shown_size
from omnisila.schema import Span

STILL_S = 1.0  # a still picture serves as a clip of this length
_SEEK_FROM_S = 2.0  # up to here decoding from the beginning is cheaper than a seek
_ANIMATIONS = ("AVIF", "GIF", "PNG")  # libav decodes these, with their times
_COLOUR_TAGGED = ("AVIF", "HEIF", "PNG")  # whose tags of HDR Pillow does not give
_PICTURE_CONTAINERS = ("image2", "_pipe", "fits", "ico")  # libav's names for single pictures


class DecodeLimits(Config):
    """Bounds that keep a hostile or broken file from taking the machine."""

    max_frames: int = 10_000_000  # a day at 115 frames a second; decoding stops there with a warning
    max_seconds: float = 86_400.0  # likewise
    max_pixels: int = 2**26  # 8192 x 8192; files with larger pictures are refused


class VideoInfo(Frozen):
    """What a file holds, as it is shown: after rotation, with square pixels.

    Args:
        duration_s: from time 0 to the end of the last frame's display time, whatever the container states.
        rate_hz: nominal frames per second, None when the container gives none.
        rotation_deg: the clockwise turn that is applied to pictures: 0, 90, 180 or 270.
        start_s: the container's first timestamp, which is time 0 everywhere else.
        holes: stretches for which the file has no pictures, too long for the one before to be shown still.
        still: a picture held for one second.
    """

    path: str
    duration_s: float
    holes: tuple[Span, ...]
    rate_hz: float | None
    width_px: int
    height_px: int
    rotation_deg: int
    start_s: float
    container: str
    codec: str
    pixel_format: str
    has_audio: bool
    still: bool = False


class StillSource:
    """A picture as a video of one frame, shown for a second."""

    def __init__(self, frame: VideoFrame, info: VideoInfo, notes: Sequence[str] = ()) -> None:
        self._frame = frame
        self.notes = (*notes, *look_notes(frame))
        self.claimed_s = STILL_S
        self.account = Account()
        self.info = info

    def pictures(self, start_s: float = 0.0) -> Iterator[Picture]:  # there is but one
        self.account = Account()
        self.account.pictures = 1
        yield Picture(0.0, STILL_S, self._frame)


class AnimationSource:
    """An animated WebP, which libav does not decode. Opened anew for each pass; damaged pictures are left out.

    Raises:
        MediaError: none of its pictures is whole.
    """

    def __init__(self, path: Path, animation: WebPAnimation, max_pixels: int) -> None:
        self._animation, self._displays_s, self._damaged = animation, animation.displays_s, animation.damaged()
        self.account = Account()
        duration_s = sum(self._displays_s)
        self.claimed_s = duration_s / (1.0 - animation.missing_frac)  # what is missing is known by bytes alone
        self.notes = joined_note(path)
        if animation.missing_frac:
            self.notes += (ENDS_EARLY,)
        if len(self._damaged) == len(self._displays_s):
            raise MediaError(f"{path}: none of its pictures is whole. Copy it again or give another.")
        with animation.open(self._damaged) as image:
            check_pixels(path, image.width, image.height, max_pixels)
            self.info = _picture_info(path, image, duration_s, len(self._displays_s) / duration_s)
        if next(self.pictures(), None) is None:
            raise MediaError(f"{path}: none of its pictures could be decoded. Copy it again or give another.")

    def pictures(self, start_s: float = 0.0) -> Iterator[Picture]:  # there are no key frames to seek to
        self.account = Account()
        time_s, place, image = 0.0, 0, self._animation.open(self._damaged)
        for number, display_s in enumerate(self._displays_s):
            end_s, frame = time_s + display_s, None
            if number not in self._damaged:
                try:
                    image.seek(place)
                    frame = frame_of(image)
                except PICTURE_ERRORS:
                    self._damaged.add(number)
                    image = self._animation.open(self._damaged)
            if frame is not None:
                self.account.pictures += 1
                place += 1
                yield Picture(time_s, end_s, frame)
            else:
                self.account.lose(time_s, end_s, DAMAGED)
            time_s = end_s


class VideoSource:
    """A container's best video stream. Opened anew for each pass, so that passes do not disturb each other.

    ``claimed_s`` is where its pictures should end, ``notes`` what is odd about their times.
    """

    def __init__(self, path: Path, limits: DecodeLimits) -> None:
        self._path = path
        self._limits = limits
        self._clock = clock_of(path)
        self.claimed_s, self.notes = self._clock.claimed_s, self._clock.notes
        self.account = Account()
        with _open(path, limits, self._clock, threads=False) as (container, stream, decoder):
            first = next(decoder.pictures(), None)
            if first is None:
                raise MediaError(_no_picture(path, stream, decoder.account))
            shown = shown_size(first.frame)
            self.info = VideoInfo(
                path=path_text(path), duration_s=max(self._clock.end_s, first.end_s), holes=self._clock.holes,
                rate_hz=nominal_rate_hz(stream), width_px=shown.width_px, height_px=shown.height_px,
                rotation_deg=Orientation.of(first.frame).rotation_deg, start_s=self._clock.start_s,
                container=container.format.name, codec=stream.codec_context.name,
                pixel_format=first.frame.format.name, has_audio=bool(container.streams.audio),
            )  # fmt: skip

    def pictures(self, start_s: float = 0.0) -> Iterator[Picture]:
        """Pictures from the one shown at ``start_s``, or an earlier one, to the end of the file."""
        # where timestamps repeat, a leap to one may end anywhere; packets that are not decoded cost little
        if start_s > _SEEK_FROM_S and len(self._clock.parts) == 1:
            with _open(self._path, self._limits, self._clock) as (_, _, decoder):
                landed = _land(decoder, start_s)
                if landed is not None:
                    self.account = decoder.account
                    yield from landed
                    return
        with _open(self._path, self._limits, self._clock) as (_, _, decoder):
            self.account = decoder.account
            yield from decoder.pictures(start_s)


class Opened(NamedTuple):
    """One pass over a file."""

    container: InputContainer
    stream: VideoStream
    decoder: Decoder


def open_source(path: Path, limits: DecodeLimits) -> VideoSource | StillSource | AnimationSource:
    """The file as a source of pictures.

    Raises:
        MediaError: it is neither a readable video nor a readable picture.
    """
    check_file(path)
    if (animation := WebPAnimation.of(path)) is not None:
        return AnimationSource(path, animation, limits.max_pixels)
    image = open_picture(path, limits.max_pixels)
    if image is not None:
        with image:
            if not (getattr(image, "is_animated", False) and image.format in _ANIMATIONS):
                return _still(path, image)
    source = VideoSource(path, limits)
    if source.info.container.endswith(_PICTURE_CONTAINERS):
        pictures = list(islice(source.pictures(), 2))
        if len(pictures) == 1:
            info = source.info.model_copy(update={"duration_s": STILL_S, "rate_hz": None, "still": True})
            return StillSource(pictures[0].frame, info)
    return source


def _still(path: Path, image: Image.Image) -> StillSource:
    """A picture by Pillow. Of several pages or views the first is taken: nothing says for how long each is shown."""
    pages = getattr(image, "n_frames", 1)
    notes = []
    if pages > 1 and image.format != "MPO":  # where the others are a gain map, a depth map or a thumbnail
        notes.append(f"the file holds {pages} pages without times: the first is analysed")
    if image.format in ("AVIF", "HEIF") and ends_early(path):  # whose decoders leave out what is missing
        notes.append("the file is cut off: a part of the picture is missing")
    notes += joined_note(path)
    info = _picture_info(path, image, STILL_S, None)
    try:
        frame = frame_of(image)
    except PICTURE_ERRORS as error:
        reason = " ".join(str(error).split())
        raise MediaError(f"{path}: the picture is damaged ({reason}). Copy it again or give another.") from None
    if image.format in _COLOUR_TAGGED:
        with suppress(MediaError), open_container(path) as container:
            tags = container.streams.video[0].codec_context
            frame.color_trc, frame.color_primaries = tags.color_trc, tags.color_primaries
    return StillSource(frame, info.model_copy(update={"width_px": frame.width, "height_px": frame.height}), notes)


def _picture_info(path: Path, image: Image.Image, duration_s: float, rate_hz: float | None) -> VideoInfo:
    name = str(image.format).lower()
    return VideoInfo(
        path=path_text(path), duration_s=duration_s, holes=(), rate_hz=rate_hz, width_px=image.width,
        height_px=image.height, rotation_deg=0, start_s=0.0, container=name, codec=name, pixel_format=image.mode,
        has_audio=False, still=rate_hz is None,
    )  # fmt: skip


@contextmanager
def _open(path: Path, limits: DecodeLimits, clock: Clock, threads: bool = True) -> Iterator[Opened]:
    with open_container(path) as container:
        stream = video_stream(path, container)
        yield Opened(container, stream, Decoder(path, container, stream, limits.max_pixels, clock, threads))


def _land(decoder: Decoder, start_s: float) -> Iterator[Picture] | None:
    """The pictures after a seek, or None where the container cannot seek or landed too late."""
    pictures = decoder.pictures(start_s, seek=True)
    try:
        first = next(pictures, None)
    except FFmpegError:
        return None
    if first is None or first.time_s > start_s + TIME_TOLERANCE_S:
        return None
    return chain((first,), pictures)


def _no_picture(path: Path, stream: VideoStream, account: Account) -> str:
    reason = f" ({account.trouble})" if account.trouble else ""
    codec = stream.codec_context.name
    if account.packets == 0:
        return f"{path}: its video stream ({codec}) holds no pictures{reason}. Give another file."
    return (
        f"{path}: none of its {account.packets} pictures ({codec}) could be decoded{reason}. "
        "Copy the file again from its source."
    )
