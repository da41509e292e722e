"""Pictures and clips that a page embeds: key frames and a preview of each finding, within one budget of bytes."""

from collections.abc import Mapping, Sequence
from itertools import islice
from os import PathLike
from typing import NamedTuple

from jaxtyping import UInt8
from torch import Tensor

from omnisila.errors import MediaError
from omnisila.media.clips import cut, jpeg
from omnisila.media.video import VideoReader
from omnisila.report.faces import FaceFinder, FaceFinderConfig
from omnisila.report.keyframes import PER_FINDING, key_times
from omnisila.report.wording import by_strength
from omnisila.schema import Analysis, Box, CurvePoint, Finding, IntensityPoint

MAX_EMBEDDED_BYTES = 30_000_000  # of a page, as base64 text: pictures and clips together
_BASE64_GROWTH = 4 / 3
_PICTURE_SHARE = 0.3  # of the bytes at most; clips get the rest
_MAX_CLIP_BYTES = 3_000_000
_MAX_CLIP_S = 12.0
_MAX_CLIPS = 24  # the strongest findings; coding more would take longer than the analysis
_MAX_THREE_FRAME_FINDINGS = 40  # with more findings, each shows one frame
_CONTEXT_S = 1.0  # of video before and after a finding
_LADDER = ((640, 82), (480, 76), (320, 70), (240, 55))  # long side in pixels, JPEG quality
_THUMBNAIL = (240, 76)


class KeyFrame(NamedTuple):
    """A moment of the video as a JPEG file."""

    time_s: float
    jpeg: bytes


class Clip(NamedTuple):
    """A playable piece of the video: an mp4 file of [start_s, end_s)."""

    start_s: float
    end_s: float
    mp4: bytes


class FindingMedia(NamedTuple):
    """What shows one finding; either may be missing where the bytes did not suffice or nothing could be read."""

    frames: tuple[KeyFrame, ...] = ()
    clip: Clip | None = None


class PageMedia(NamedTuple):
    """All that a page shows of the video, in the order of the analysis's findings.

    Attributes:
        poster: where the anomaly curve or a reaction peaks, for a video without findings.
    """

    findings: tuple[FindingMedia, ...]
    poster: KeyFrame | None = None
    faces_blurred: bool = False


def collect_media(
    path: str | PathLike[str],
    analysis: Analysis,
    blur_faces: bool = False,
    max_bytes: int = MAX_EMBEDDED_BYTES,
    finder: FaceFinder | None = None,
) -> PageMedia:
    """Read from the video what its page shows; the strongest findings are served first.

    Args:
        blur_faces: hide every face in every picture.
        max_bytes: size of all of it as base64 text.
        finder: detectors for ``blur_faces``, when several videos share them.

    Raises:
        MediaError: the video cannot be opened at all; pieces that cannot be read are left out.
    """
    studio = _Studio(VideoReader(path), (finder or FaceFinderConfig().build()) if blur_faces else None)
    budget = int(max_bytes / _BASE64_GROWTH) - 4 * len(analysis.findings)  # base64 pads each file
    if not analysis.findings:
        poster = studio.frames((peak_s(analysis),), int(budget * _PICTURE_SHARE), budget)
        return PageMedia((), poster[0] if poster else None, blur_faces)
    count = PER_FINDING if len(analysis.findings) <= _MAX_THREE_FRAME_FINDINGS else 1
    times_s = {number: key_times(analysis.findings[number], count) for number in by_strength(analysis.findings)}
    frames = _frames(studio, times_s, int(budget * _PICTURE_SHARE))
    used = sum(len(frame.jpeg) for pictures in frames.values() for frame in pictures)
    pieces = {number: _piece(analysis.findings[number], analysis) for number in times_s}
    clips = _clips(studio, pieces, budget - used)
    shown = (FindingMedia(frames[number], clips.get(number)) for number in range(len(analysis.findings)))
    return PageMedia(tuple(shown), None, blur_faces)


def thumbnail(path: str | PathLike[str], analysis: Analysis, blur_faces: bool = False) -> bytes:
    """A small picture of the strongest finding, or of the anomaly curve's peak, for the index of a run.

    Raises:
        MediaError: the video cannot be read there.
    """
    order = by_strength(analysis.findings)
    time_s = key_times(analysis.findings[order[0]], 1)[0] if order else peak_s(analysis)
    studio = _Studio(VideoReader(path), FaceFinderConfig().build() if blur_faces else None)
    image = next((frame.image for frame in studio.reader.shown_at([time_s])), None)
    if image is None:
        raise MediaError(f"{path}: no picture at {time_s:.1f} s. Give a time inside the video.")
    side_px, quality = _THUMBNAIL
    return jpeg(image, long_side_px=side_px, quality=quality, blur=studio.heads(image))


def peak_s(analysis: Analysis) -> float:
    """The middle of the window where the anomaly curve, else a reaction, is highest; without either, of the video."""
    peak = highest(analysis.anomaly_curve) or strongest_window(analysis.intensity_curve)
    return (peak.start_s + peak.end_s) / 2 if peak else analysis.video.duration_s / 2


def strongest_window(curve: Sequence[IntensityPoint]) -> IntensityPoint | None:
    """The window with the greatest intensity of any label, the first one of equals."""
    return max(curve, key=lambda point: max(point.intensities.values()), default=None)


def highest(curve: Sequence[CurvePoint]) -> CurvePoint | None:
    """The curve's highest window, the first one of equals."""
    return max(curve, key=lambda point: point.score, default=None)


class _Studio:
    """The video with what hides faces in it, if anything does."""

    def __init__(self, reader: VideoReader, finder: FaceFinder | None) -> None:
        self.reader, self.finder = reader, finder

    def heads(self, image: UInt8[Tensor, "height width 3"]) -> Sequence[Box]:
        return self.finder.at(image) if self.finder else ()

    def frames(self, times_s: Sequence[float], share_bytes: int, left_bytes: int) -> tuple[KeyFrame, ...]:
        """The frames at ascending times; those that cannot be read, or for which no bytes are left, are left out.

        Args:
            share_bytes: what one frame should need at most; one that cannot be so small takes of the rest.
            left_bytes: what all together may need.
        """
        found: list[KeyFrame] = []
        for frame in self.reader.shown_at(times_s, long_side_px=_LADDER[0][0]):
            hidden = self.heads(frame.image)
            data = b""
            for side_px, quality in _LADDER:
                data = jpeg(frame.image, long_side_px=side_px, quality=quality, blur=hidden)
                if len(data) <= share_bytes:
                    break
            if len(data) <= left_bytes:
                found.append(KeyFrame(frame.time_s, data))
                left_bytes -= len(data)
        return tuple(found)

    def clip(self, start_s: float, end_s: float, max_bytes: int) -> Clip | None:
        """A piece of the video, or None where nothing can be read or shown in so few bytes."""
        blur_at = self.finder.over(self.reader, start_s, end_s) if self.finder else None
        try:
            data = cut(self.reader.path, start_s, end_s, max_bytes, blur_at=blur_at)
        except MediaError:
            return None
        return Clip(start_s, end_s, data)


def _frames(
    studio: _Studio, times_s: Mapping[int, tuple[float, ...]], max_bytes: int
) -> dict[int, tuple[KeyFrame, ...]]:
    """Key frames by finding; what the first ones leave of the bytes goes to the rest."""
    frames: dict[int, tuple[KeyFrame, ...]] = {}
    left, waiting = max_bytes, sum(map(len, times_s.values()))
    for number, wanted in times_s.items():
        frames[number] = studio.frames(wanted, left // waiting, left)
        left -= sum(len(frame.jpeg) for frame in frames[number])
        waiting -= len(wanted)
    return frames


def _clips(studio: _Studio, pieces: Mapping[int, tuple[float, float]], max_bytes: int) -> dict[int, Clip]:
    """Previews by finding, of as many as are worth the time."""
    clips: dict[int, Clip] = {}
    left, waiting = max_bytes, min(len(pieces), _MAX_CLIPS)
    for number, (start_s, end_s) in islice(pieces.items(), waiting):
        clip = studio.clip(start_s, end_s, min(left // waiting, _MAX_CLIP_BYTES))
        waiting -= 1
        if clip is not None:
            clips[number] = clip
            left -= len(clip.mp4)
    return clips


def _piece(finding: Finding, analysis: Analysis) -> tuple[float, float]:
    """What of the video shows a finding: with a little context, or around the curve's peak when it is long."""
    end_of_video_s = max(analysis.video.duration_s, finding.span.end_s)
    start_s, end_s = finding.span.start_s - _CONTEXT_S, finding.span.end_s + _CONTEXT_S
    if end_s - start_s > _MAX_CLIP_S:
        inside = [point for point in analysis.anomaly_curve if start_s <= point.start_s and point.end_s <= end_s]
        peak = highest(inside)
        middle_s = (peak.start_s + peak.end_s) / 2 if peak else (start_s + end_s) / 2
        start_s = min(max(start_s, middle_s - _MAX_CLIP_S / 2), end_s - _MAX_CLIP_S)
        end_s = start_s + _MAX_CLIP_S
    return max(start_s, 0.0), min(end_s, end_of_video_s)
