"""Opening a file as a video: every way in which it may not be one ends in a single clear line."""

import math
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream
from PIL import Image

from omnisila.errors import MediaError
from omnisila.media.joined import another_from
from omnisila.media.layout import HEIF_BRANDS, brand, is_cut_picture, lacks_index

_PICTURE_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "AVIF", "GIF", "JPEG2000", "PPM", "QOI")
_PLAYLISTS = ("concat", "hls", "dash", "imf")
_MAX_IDLE_ERRORS = 1000  # demuxing errors in a row without a packet between them
_STREAM_SUFFIXES = (".mjpeg", ".mjpg")  # a raw motion JPEG stream begins like a JPEG picture


def check_file(path: Path) -> None:
    """Refuse what is not a readable file with something in it.

    Raises:
        MediaError: missing, a folder, a device, empty, or not readable by this user.
    """
    try:
        if not path.exists():
            raise MediaError(f"{path}: no such file. Check the path.")
        if path.is_dir():
            raise MediaError(f"{path}: a folder, not a video. Give the files in it.")
        if not path.is_file():
            raise MediaError(f"{path}: not a regular file. Give a video file.")
        with path.open("rb") as file:
            if not file.read(1):
                raise MediaError(f"{path}: the file is empty (0 bytes). Copy it again or give another.")
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror}). Check the path and its permissions.") from None


def open_picture(path: Path, max_pixels: int) -> Image.Image | None:
    """The picture or animation in an image file, not yet decoded, or None when the file is something else.

    Raises:
        MediaError: it has more than ``max_pixels``, or is a picture that is cut off before its data.
    """
    if path.suffix.lower() in _STREAM_SUFFIXES:
        return None
    formats = _PICTURE_FORMATS
    if brand(path) in HEIF_BRANDS:
        from pillow_heif import register_heif_opener  # loads a codec that other files do not need

        register_heif_opener()
        formats = ("AVIF", "HEIF")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # metadata out of order, which does not touch the pixels
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(path, formats=formats)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise MediaError(f"{path}: the picture has too many pixels to be decoded safely. Scale it down.") from None
    except (OSError, ValueError):
        if is_cut_picture(path) and brand(path) != b"avis":  # of an animation libav may find the first pictures
            raise MediaError(f"{path}: the picture is cut off before its data. Copy it again.") from None
        return None
    check_pixels(path, image.width, image.height, max_pixels)
    return image


def check_pixels(path: Path, width_px: int, height_px: int, max_pixels: int) -> None:
    """Refuse pictures too large to decode safely.

    Raises:
        MediaError: ``width_px * height_px`` exceeds ``max_pixels``.
    """
    if width_px * height_px > max_pixels:
        raise MediaError(
            f"{path}: pictures of {width_px}x{height_px} px are above the limit of {max_pixels} pixels. "
            "Scale the file down or raise DecodeLimits.max_pixels."
        )


def open_container(path: Path) -> InputContainer:
    """Open a checked file; the network is never reached, and playlists are not followed.

    Of files that were joined into one, the first is opened, as far as libav does not read on by itself.

    Raises:
        MediaError: libav finds no container it knows, or one that only points to other files.
    """
    try:
        # The "file:" prefix keeps a colon or a percent sign in a name from being read as a protocol or a pattern.
        end = another_from(path)
        part = "" if end is None else f"subfile,,start,0,end,{end},,:"
        container = av.open(f"{part}file:{path}", options={"protocol_whitelist": "file,subfile"})
    except (FFmpegError, ValueError, OSError) as error:
        if lacks_index(path):
            raise MediaError(
                f"{path}: the file is cut off: its index (moov) is missing, so nothing in it can be found. "
                "Copy it again from its source, or repair it with a working file of the same camera."
            ) from None
        if isinstance(error, EOFError):
            raise MediaError(
                f"{path}: the file ends before its first picture. Copy it again or give another."
            ) from None
        reason = getattr(error, "strerror", None) or str(error)
        raise MediaError(
            f"{path}: not a video that can be opened ({reason}). Give a video such as mp4, mkv, webm, avi or mov."
        ) from None
    if container.format.name in _PLAYLISTS:
        container.close()
        raise MediaError(f"{path}: a playlist ({container.format.name}), not a video. Give the files that it names.")
    return container


def video_stream(path: Path, container: InputContainer) -> VideoStream:
    """The container's best video stream; cover art does not count, it is a picture of a sound file.

    Raises:
        MediaError: there is none, or no decoder for it.
    """
    streams = video_streams(container)
    if not streams:
        found = ", ".join(_describe(stream) for stream in container.streams) or "no streams at all"
        raise MediaError(f"{path}: no video stream (found: {found}). Give a file that has one.")
    best = container.streams.best("video")
    stream = next((stream for stream in streams if best is not None and stream.index == best.index), streams[0])
    if stream.disposition & Disposition.dependent:
        raise MediaError(f"{path}: a picture of {len(streams)} tiles that cannot be joined here. Convert it to JPEG.")
    if stream.codec_context is None:
        raise MediaError(f"{path}: no decoder for its video codec. Convert it to H.264 and try again.")
    return stream


def video_streams(container: InputContainer) -> list[VideoStream]:
    """All that could be watched: cover art is left out."""
    return [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]


def demux(
    container: InputContainer, streams: tuple[Stream, ...], failed: Callable[[FFmpegError], None] | None = None
) -> Iterator[Packet]:
    """The packets of some streams, past damage; the last are empty and flush the decoder."""
    errors = 0
    while errors < _MAX_IDLE_ERRORS:
        try:
            for packet in container.demux(streams):
                errors = 0
                yield packet
            return
        except IndexError:  # PyAV, after the last packet, when streams have appeared on the way
            return
        except FFmpegError as error:
            errors += 1
            if failed is not None:
                failed(error)


class EditList:
    """Which packets of one stream are only decoded, never shown, told packet by packet in the file's order."""

    def __init__(self) -> None:
        self._newest = -math.inf

    def leaves_out(self, packet: Packet) -> bool:
        """An edit list's packets run on; libav marks those of joined fragments too, whose timestamps start again."""
        runs_on = packet.dts is None or packet.dts > self._newest
        self._newest = max(self._newest, self._newest if packet.dts is None else packet.dts)
        return packet.is_discard and runs_on


def _describe(stream: Stream) -> str:
    codec = stream.codec_context.name if stream.codec_context else "of unknown codec"
    picture = " (cover picture)" if stream.disposition & Disposition.attached_pic else ""
    return f"{stream.type} {codec}{picture}"
