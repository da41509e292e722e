"""Emotional reaction intensities of a video: of the whole, and over time.

Each clip that a model is shown is 32 frames of a stretch, as in the paper; over time the stretches are as long as the
clips that models are trained on, one after the other. Source: emotional-reaction paper 3 and 5.1.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from omnisila.errors import InputError
from omnisila.inference.analyzer import Progress, not_scored, tell_no_one, video_identity
from omnisila.inference.clip_streams import FACE, clip_streams
from omnisila.inference.settings import AnalyzerConfig, check_reaction_settings
from omnisila.labels import REACTION
from omnisila.media.sampling import window_starts
from omnisila.media.video import UNDECODED, VideoInfo, VideoReader
from omnisila.models.reaction_run import ReactionRun
from omnisila.pace import time_stage
from omnisila.scenes.reaction.extracting import ReactionCache
from omnisila.scenes.store import video_digest
from omnisila.schema import Analysis, IntensityPoint, ModelIdentity, Span

WINDOW_S = 10.0  # Hume-Reaction's clips last about as long
STAGE = "reaction"
VALIDITY = (
    "Intensities hold only for footage like the clips that the model was trained on: one person who reacts, filmed "
    "from near."
)
_LEAST_SHARE = 0.5  # of a window: a shorter rest at the end belongs to the window before it
_TAIL_S = 2.0  # so much of the end is decoded to learn whether the file is cut off
_TOLD = {FACE: "face", "audio": "sound", "text": "text"}  # modalities that a stretch may lack


class Measured(NamedTuple):
    """One stretch of a video; ``missing`` are modalities.

    ``intensities`` are None where nothing is there that the model reads: what it says of nothing is no measurement.
    """

    span: Span
    intensities: dict[str, float] | None
    missing: tuple[str, ...]
    warnings: tuple[str, ...]
    seconds: dict[str, float]


class ReactionAnalyzer:
    """A reaction model with what makes its streams of a video.

    Args:
        config: its label set is reaction, and no option is set that reactions do not know.

    Raises:
        InputError: other settings, or a run that does not say how its streams are made.
    """

    def __init__(self, run: ReactionRun, config: AnalyzerConfig, cache: ReactionCache) -> None:
        check_reaction_settings(config)
        self.run, self.config, self.cache = run, config, cache
        self.streams = clip_streams(run.record, cache)

    @property
    def identity(self) -> ModelIdentity:
        return self.run.record.identity

    @property
    def validity(self) -> str:
        return VALIDITY

    @property
    def notes(self) -> tuple[str, ...]:
        return (*([self.cache.warning] if self.cache.warning else ()), *not_scored(self.labels_not_scored))

    @property
    def labels_not_scored(self) -> tuple[str, ...]:
        """Emotions that the model was not trained on."""
        return tuple(label for label in REACTION.labels if label not in self.run.record.emotions)

    def analyze(self, path: str | Path, progress: Progress | None = None) -> Analysis:
        """Intensities of one video, of the whole and window by window; there are no findings.

        Raises:
            MediaError: it cannot be read as a video.
        """
        path, report = Path(path), progress or tell_no_one
        timings: dict[str, float] = {}
        with time_stage(timings, STAGE):
            footage = _footage(path, whole=False)
            whole, over_time = self._measure_all(path, footage, report)
            if any(UNDECODED in line for stretch in (whole, *over_time) for line in stretch.warnings):
                footage = _footage(path, whole=True)  # damage inside leaves other stretches, and is told as a share
                whole, over_time = self._measure_all(path, footage, report)
        report(STAGE, 1.0)
        for stretch in over_time if over_time == [whole] else [whole, *over_time]:
            for part, seconds in stretch.seconds.items():
                timings[f"{STAGE}/{part}"] = timings.get(f"{STAGE}/{part}", 0.0) + seconds
        return Analysis(
            video=video_identity(path, video_digest(path), footage.info, footage.decoded_ratio),
            labels=(REACTION.name,),
            labels_not_scored=self.labels_not_scored,
            model=self.identity,
            findings=(),
            anomaly_curve=(),
            expert_weights=(),
            intensities=whole.intensities,
            intensity_curve=tuple(
                IntensityPoint(start_s=stretch.span.start_s, end_s=stretch.span.end_s, intensities=stretch.intensities)
                for stretch in over_time
                if stretch.intensities is not None
            ),
            warnings=tuple(
                dict.fromkeys((*self.notes, *footage.warnings, *whole.warnings, *missing_over_time(over_time)))
            ),
            timings_s={stage: round(seconds, 3) for stage, seconds in timings.items()},
        )

    def _measure_all(self, path: Path, footage: "_Footage", report: Progress) -> tuple[Measured, list[Measured]]:
        """The whole video, and its windows; of a video of one window both are the same."""
        window_s, hop_s = self.config.window_s or WINDOW_S, self.config.hop_s
        spans = [window for run in footage.runs for window in clip_windows(run.end_s, window_s, hop_s, run.start_s)]
        whole = self.measure_span(path, Span(start_s=0.0, end_s=footage.runs[-1].end_s))
        if len(spans) == 1:
            return whole, [whole]
        over_time: list[Measured] = []
        for number, span in enumerate(spans):
            report(STAGE, number / len(spans))
            over_time.append(self.measure_span(path, span))
        return whole, over_time

    def measure_span(self, path: Path, span: Span) -> Measured:
        """What the model says of one stretch.

        Raises:
            MediaError: it cannot be read.
        """
        read = self.streams.read(path, span)
        record = self.run.record
        scored: dict[str, float] | None = None
        if not read.blind:
            found = dict(zip(record.outputs, self.run.model.intensities(read.batch)[0].tolist(), strict=True))
            scored = {label: found[label] for label in record.emotions}
        return Measured(span, scored, read.missing, read.warnings, read.seconds)


def clip_windows(end_s: float, window_s: float, hop_s: float | None = None, start_s: float = 0.0) -> tuple[Span, ...]:
    """The stretches that are measured: together they cover [start_s, end_s), and the last ends there.

    A rest of less than half a window is no clip of its own: it belongs to the window before it.

    Args:
        hop_s: from one start to the next; by default windows touch without overlap.

    Raises:
        InputError: a hop longer than the window, which would leave time unseen.
    """
    if hop_s is not None and hop_s > window_s:
        raise InputError(
            f"windows of {window_s:g} s every {hop_s:g} s leave time between them unseen. Give a hop of at most "
            f"{window_s:g} s, or a longer window."
        )
    starts = window_starts(start_s, end_s, window_s, hop_s)
    if len(starts) > 1 and end_s - starts[-1] < _LEAST_SHARE * window_s:
        starts = starts[:-1]
    ends = [max(begin + window_s, after) for begin, after in pairwise(starts)]  # floats round
    return tuple(Span(start_s=begin, end_s=end) for begin, end in zip(starts, [*ends, end_s], strict=True))


def missing_over_time(windows: Sequence[Measured]) -> Iterator[str]:
    """One line on the windows in which no face, sound or text was found, and on those that have no answer for it."""
    without = {what: sum(name in window.missing for window in windows) for name, what in _TOLD.items()}
    told = [f"no {what} in {count}" for what, count in without.items() if count]
    if blind := sum(window.intensities is None for window in windows):
        told.append(f"nothing that the model reads in {blind}, of which nothing is said")
    if told:
        yield f"of {len(windows)} window{'s' if len(windows) > 1 else ''}: {'; '.join(told)}"


class _Footage(NamedTuple):
    """What is known of a video; ``runs`` are the stretches between its holes."""

    info: VideoInfo
    runs: tuple[Span, ...]
    decoded_ratio: float
    warnings: tuple[str, ...]


def _footage(path: Path, whole: bool) -> _Footage:
    """From the times of all packets and the last pictures; ``whole`` decodes all, which finds damage inside."""
    reader = VideoReader(path)
    info, found, last_s = reader.info, [], 0.0
    for picture in reader.pictures(0.0 if whole else max(info.duration_s - _TAIL_S, 0.0)):
        if picture.hole_from_s is not None:
            found.append(Span(start_s=picture.hole_from_s, end_s=picture.time_s))
        last_s = picture.end_s
    holes = found if whole else info.holes
    begins_s = [0.0, *(hole.end_s for hole in holes)]
    ends_s = [*(hole.start_s for hole in holes), last_s or info.duration_s]
    runs = [
        Span(start_s=begin_s, end_s=end_s) for begin_s, end_s in zip(begins_s, ends_s, strict=True) if end_s > begin_s
    ]
    return _Footage(info, tuple(runs), reader.decoded_ratio, reader.warnings)
