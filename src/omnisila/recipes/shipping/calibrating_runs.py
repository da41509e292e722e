"""Operating points of a run folder from prepared validation examples: real videos with known times, held out."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import softmax

from omnisila.data.preparation.decided import decided_examples
from omnisila.data.preparation.video_examples import label_over
from omnisila.decisions import Decision
from omnisila.errors import InputError, MediaError
from omnisila.evaluation.calibration import ValidationVideo, fit_temperature
from omnisila.files import write_atomically
from omnisila.inference.analyzer import Analyzer
from omnisila.inference.run_folders import shortcuts_of
from omnisila.inference.scoring import Scored
from omnisila.inference.settings import AnalyzerConfig
from omnisila.inference.zero_shot import load_model
from omnisila.labels import label_set
from omnisila.media.video import sha256
from omnisila.models.run_files import CALIBRATION
from omnisila.operating_points import Calibration, LabelSetCalibration
from omnisila.pace import Say
from omnisila.recipes.studies.calibration import fit_label_set, validation_video
from omnisila.records import records
from omnisila.scenes.cache import FeatureCache
from omnisila.schema import Example

SMALLEST = 1e-12  # of a posterior, before its logarithm


class _Video(NamedTuple):
    """One locate example's video with the run's uncalibrated answers to its windows."""

    example: Example
    scored: Scored
    seen: Bool[np.ndarray, "windows"]  # those that no first model ruled out


class Held(NamedTuple):
    """What thresholds are fitted on: locate examples, and what they are in words."""

    examples: Sequence[Example]
    words: str


def held_out(examples: Path, split: str) -> Held:
    """The locate examples of a split.

    Raises:
        RecordError: the file cannot be read.
    """
    asked = [example for example in records(examples, Example) if example.split == split and example.task == "locate"]
    return Held(asked, f"{split} of {examples.name}")


def hold_decisions(decisions: Path, say: Say) -> Held:
    """The videos that people decided about on the review page.

    Raises:
        RecordError: the file cannot be read.
    """
    return Held(decided_examples(records(decisions, Decision), say), f"decisions of {decisions.name}")


def calibrate_run(
    folder: Path, held: Held, footage: Path, cache: FeatureCache, say: Say, settings: AnalyzerConfig | None = None
) -> Calibration:
    """Fit temperature and thresholds on held-out examples, and put them into the run folder.

    Args:
        settings: what the model leaves out, so that what is missed by it counts as missed.

    Raises:
        InputError: there is no video with known times that can be read.
        OutputError: the run folder cannot be written.
    """
    settings = settings or AnalyzerConfig()
    run = load_model(folder.name, folder, settings)._replace(calibration=None)
    shortcuts = shortcuts_of(settings, None)
    sets: dict[str, LabelSetCalibration] = {}
    for labels, names in run.record.labels.items():
        analyzer = Analyzer(run, settings.replace(labels=(labels,)), cache)
        mine = [example for example in held.examples if example.labels == labels]
        videos = list(_score_videos(analyzer, mine, footage, say))
        if not videos:
            say(f"{labels}: no video of {held.words} that can be read; its thresholds stay uncalibrated")
            continue
        if analyzer.first is not None:
            say(f"{labels}: {_ruled_out(videos, labels)}")
        sets[labels] = _fit_label_set(videos, labels, names)
    if not sets:
        raise InputError(
            f"{held.words}: nothing to calibrate on: no video with known times for {', '.join(run.record.labels)} that "
            f"can be read below {footage}. Give another --footage or --split, or prepare with --resplit."
        )
    calibration = Calibration(label_sets=sets, split=held.words, grid_hz=8.0, shortcuts=shortcuts)
    write_atomically(folder / CALIBRATION, calibration.model_dump_json(indent=2))
    return calibration


def _score_videos(analyzer: Analyzer, examples: Sequence[Example], footage: Path, say: Say) -> Iterator[_Video]:
    for number, example in enumerate(examples, 1):
        path = footage / example.video
        try:
            if example.video_sha256 not in (None, sha256(path)):
                raise MediaError(f"{path}: another file than the one that was judged. Give the --footage it is in.")
            extracted = analyzer.extract_features(path)
        except MediaError as error:
            say(f"left out: {error}")
            continue
        say(f"{example.labels} {number}/{len(examples)}: {example.video}")
        scored = analyzer.score_windows(extracted)
        yield _Video(example, scored, np.array([*map(analyzer.is_candidate(extracted), scored.spans)], dtype=bool))


def _ruled_out(videos: Sequence[_Video], labels: str) -> str:
    """How much the first model rules out, and of events; both are in the rates that are fitted."""
    quiet, seen = label_set(labels).quiet, np.concatenate([video.seen for video in videos])
    event = np.array(
        [label_over(video.example.truth, span, quiet or "") != quiet for video in videos for span in video.scored.spans]
    )
    missed = f"{(~seen[event]).mean():.1%}" if event.any() else "none"
    return f"the first model rules out {(~seen).mean():.1%} of {len(seen)} windows, {missed} of those with an event"


def _fit_label_set(videos: Sequence[_Video], labels: str, names: Sequence[str]) -> LabelSetCalibration:
    """Temperature and thresholds; windows that are quiet by rule (ruled out, or no face) know no temperature."""
    posteriors = [video.scored.posteriors[labels] for video in videos]
    logs = [np.log(np.maximum(posterior, SMALLEST)) for posterior in posteriors]
    truth = np.concatenate([_truth(video, labels, names) for video in videos])
    judged = [(posterior > 0).sum(1) > 1 for posterior in posteriors]
    fitted = (truth >= 0) & np.concatenate(judged)
    temperature = fit_temperature(np.concatenate(logs)[fitted], truth[fitted])
    softened = (
        np.where(rows[:, None], softmax(log / temperature, axis=1), posterior)
        for rows, log, posterior in zip(judged, logs, posteriors, strict=True)
    )
    return fit_label_set(
        [_validation(video, posterior, names, labels) for video, posterior in zip(videos, softened, strict=True)],
        temperature,
    )


def _truth(video: _Video, labels: str, names: Sequence[str]) -> Int[np.ndarray, "windows"]:
    """The position of each window's label; -1 where the model was not trained on it."""
    quiet = label_set(labels).quiet or ""
    over = [label_over(video.example.truth, span, quiet) for span in video.scored.spans]
    return np.array([names.index(label) if label in names else -1 for label in over])


def _validation(
    video: _Video, posterior: Float[np.ndarray, "windows labels"], names: Sequence[str], labels: str
) -> ValidationVideo:
    start_s, end_s = (np.array([getattr(span, side) for span in video.scored.spans]) for side in ("start_s", "end_s"))
    events = [event for event in video.example.truth if event.label in names and event.label != label_set(labels).quiet]
    return validation_video(float(end_s[-1]), start_s, end_s, posterior, events, names, labels)
