"""Operating points from out-of-fold answers on joined clips: what a wanted miss rate costs in false alarms."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from jaxtyping import Float
from scipy.special import softmax

from omnisila.data.annotated import AnnotatedVideo
from omnisila.data.clips.compose import Join, plan_joins
from omnisila.evaluation.calibration import ValidationVideo, fit_operating_point, fit_temperature, operating_points
from omnisila.labels import label_set
from omnisila.models.votes import VotesConfig
from omnisila.operating_points import Calibration, LabelSetCalibration
from omnisila.recipes.studies.folds import Answers
from omnisila.schema import Truth
from omnisila.spans import ANOMALY_CURVE, Curve, SpanShape, Thresholds, anomaly_curve, flagged_stretches

DEFAULT_FNR = 0.25  # the miss rate that a run without --max-fnr is set to
JOINS_PER_SET = 12
# Of each label that is voted on, at most, on ordinary footage. Acts are short: a limit as strict as
# that of looks would miss most of them.
ACT_ALARMS_PER_HOUR, LOOK_ALARMS_PER_HOUR = 12.0, 6.0
MIN_ORDINARY_S = 5.0  # shorter clips are excerpts: their alarms say nothing of an hour
VOTED_OFF_FRAC = 0.5  # an act that is surely under way reaches as far as it is likelier than not
_ON = np.arange(0.5, 1.0, 0.02)


class JoinedScores:
    """Posteriors of joined clips, put together from those of their windows.

    Args:
        posterior: of one label set, a row per judged window.
    """

    def __init__(self, answers: Answers, posterior: Float[np.ndarray, "windows labels"]) -> None:
        self._rows: dict[str, list[tuple[float, float, int]]] = {}
        self._posterior = posterior
        for row, window in enumerate(answers.windows):
            start_s, end_s = answers.bank.span_s[window].tolist()
            clip = answers.clips[int(answers.bank.clip[window])]
            self._rows.setdefault(clip.path, []).append((start_s, end_s, row))

    @property
    def durations_s(self) -> dict[str, float]:
        """How long each clip is, as its windows tile it."""
        return {path: max(end_s for _, end_s, _ in rows) for path, rows in self._rows.items()}

    def of_clip(self, clip: AnnotatedVideo) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Starts, ends and posteriors of a clip's windows."""
        starts, ends, places = (np.array(column) for column in zip(*sorted(self._rows[clip.path]), strict=True))
        return starts, ends, self._posterior[places]

    def of(self, join: Join) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Starts, ends and posteriors of a join's windows, in seconds of the join."""
        starts: list[float] = []
        ends: list[float] = []
        places: list[int] = []
        for part in join.parts:
            for start_s, end_s, row in sorted(self._rows[part.clip.path]):
                moved_s = part.start_s + start_s
                if moved_s < part.end_s - 1e-6:  # a part ends on a whole second, maybe before its clip
                    starts.append(moved_s)
                    ends.append(min(part.start_s + end_s, part.end_s))
                    places.append(row)
        return np.array(starts), np.array(ends), self._posterior[places]


def joins_of(
    clips: Sequence[AnnotatedVideo],
    fold_of: Sequence[int],
    durations_s: Mapping[str, float],
    labels: str,
    names: Sequence[str],
    folds: int,
    seed: int,
) -> tuple[Join, ...]:
    """Joined clips whose parts are all of one fold, so that one model judged the whole join.

    Clips with a label that the model was not taught take no part: no threshold could find them.
    """
    joins: list[Join] = []
    for fold in range(folds):
        held_out = [
            clip
            for clip, f in zip(clips, fold_of, strict=True)
            if f == fold and clip.path in durations_s and clip.labels.get(labels) in names
        ]
        planned = plan_joins(held_out, durations_s, labels, count=JOINS_PER_SET, seed=seed + fold)
        joins += [join.replace(name=f"{join.name}-fold{fold}") for join in planned]
    return tuple(joins)


def validation_videos(
    joins: Sequence[Join], scores: JoinedScores, names: Sequence[str], labels: str
) -> tuple[ValidationVideo, ...]:
    """Joins with their curves and truth, as thresholds are fitted on them."""
    videos: list[ValidationVideo] = []
    for join in joins:
        start_s, end_s, posterior = scores.of(join)
        videos.append(validation_video(join.duration_s, start_s, end_s, posterior, join.truth, names, labels))
    return tuple(videos)


def validation_video(
    duration_s: float,
    start_s: Float[np.ndarray, "windows"],
    end_s: Float[np.ndarray, "windows"],
    posterior: Float[np.ndarray, "windows labels"],
    events: Sequence[Truth],
    names: Sequence[str],
    labels: str,
) -> ValidationVideo:
    curves = {ANOMALY_CURVE: anomaly_curve(start_s, end_s, posterior, names, label_set(labels))}
    curves |= {name: Curve(start_s, end_s, posterior[:, column]) for column, name in enumerate(names)}
    truth = {name: [event.span for event in events if event.label == name] for name in names}
    truth[ANOMALY_CURVE] = [event.span for event in events]
    return ValidationVideo(duration_s, curves, truth)


def fit_label_set(
    videos: Sequence[ValidationVideo], temperature: float, thresholds: Mapping[str, Thresholds] | None = None
) -> LabelSetCalibration:
    """Default thresholds and the table of operating points of one label set.

    Args:
        thresholds: the default ones; None fits them to ``DEFAULT_FNR``.
    """
    shape = SpanShape()
    if thresholds is None:
        default = fit_operating_point(videos, [ANOMALY_CURVE], shape, DEFAULT_FNR, "empirical")
        thresholds = default.thresholds if default else {ANOMALY_CURVE: Thresholds(on=0.5, off=0.35)}
    return LabelSetCalibration(
        temperature=temperature,
        shape=shape,
        thresholds=dict(thresholds),
        operating_points=operating_points(videos, [ANOMALY_CURVE], shape),
    )


def ordinary_clips(
    clips: Sequence[AnnotatedVideo], labels: str, durations_s: Mapping[str, float]
) -> tuple[AnnotatedVideo, ...]:
    """The calm moving footage that is long enough to count false alarms on."""
    quiet = label_set(labels).quiet
    return tuple(
        clip
        for clip in clips
        if not clip.is_still and clip.labels.get(labels) == quiet and durations_s.get(clip.path, 0.0) >= MIN_ORDINARY_S
    )


def voted_thresholds(
    ordinary: Sequence[AnnotatedVideo],
    joins: Sequence[Join],
    scores: JoinedScores,
    names: Sequence[str],
    labels: str,
    acts: Collection[str],
) -> dict[str, Thresholds]:
    """Each label's threshold: the highest that misses at most ``DEFAULT_FNR`` of joined clips, and no lower than keeps
    to the label's limit of false alarms on ordinary footage.

    Args:
        scores: of both.
        names: the labels that are scored, in the order of the columns.
        acts: the labels that may raise more alarms than looks.
    """
    shape, videos = SpanShape(), validation_videos(joins, scores, names, labels)
    found: dict[str, Thresholds] = {}
    for column, name in enumerate(names):
        if name == label_set(labels).quiet:
            continue
        limit = ACT_ALARMS_PER_HOUR if name in acts else LOOK_ALARMS_PER_HOUR
        limited = _limited(ordinary, scores, column, shape, limit)
        wanted = fit_operating_point(videos, [name], shape, DEFAULT_FNR, "empirical", VOTED_OFF_FRAC)
        found[name] = max(limited, wanted.thresholds[name] if wanted else limited, key=lambda point: point.on)
    return found


def _limited(
    ordinary: Sequence[AnnotatedVideo], scores: JoinedScores, column: int, shape: SpanShape, alarms_per_hour: float
) -> Thresholds:
    """The lowest threshold of one label's curve that raises at most so many alarms; they are whole."""
    limit = round(alarms_per_hour * sum(scores.durations_s[clip.path] for clip in ordinary) / 3600)
    curves = [Curve(start_s, end_s, rows[:, column]) for start_s, end_s, rows in map(scores.of_clip, ordinary)]
    points = [Thresholds(on=float(on), off=float(on) * VOTED_OFF_FRAC) for on in _ON]
    alarms = (sum(len(flagged_stretches(curve, point, shape).start_s) for curve in curves) for point in points)
    return next((point for point, count in zip(points, alarms, strict=True) if count <= limit), points[-1])


def temperature_of(answers: Answers, labels: str) -> float:
    """The temperature that fits the answers to the windows' true labels."""
    bank, names = answers.bank, answers.trained[labels]
    truth = [answers.clips[int(bank.clip[row])].label_over(labels, bank.span(row)) for row in answers.windows]
    known = [row for row, label in enumerate(truth) if label in names]
    return fit_temperature(answers.log_probs[labels][known], np.array([names.index(str(truth[row])) for row in known]))


def calibrate(answers: Answers, folds: int, split: str, votes: VotesConfig | None) -> Calibration:
    """Temperature, default thresholds and the table of operating points of every label set.

    Labels that are voted on have thresholds of their own, which limit false alarms too, where there is ordinary
    footage; other label sets have one for their anomaly curve, which limits misses.

    Args:
        answers: ``log_probs`` decide the temperature, ``located`` the thresholds.
    """
    clips = answers.clips
    sets: dict[str, LabelSetCalibration] = {}
    for labels, names in answers.trained.items():
        temperature = temperature_of(answers, labels)
        scores = JoinedScores(answers, softmax(answers.located[labels] / temperature, axis=1))
        joins = joins_of(clips, answers.fold_of, scores.durations_s, labels, names, folds, seed=0)
        limited: dict[str, Thresholds] | None = None
        ordinary = ordinary_clips(clips, labels, scores.durations_s)
        if votes is not None and ordinary and not set(votes.votes).isdisjoint(names):
            limited = voted_thresholds(ordinary, joins, scores, names, labels, votes.acts)
        sets[labels] = fit_label_set(validation_videos(joins, scores, names, labels), temperature, limited)
    return Calibration(label_sets=sets, split=split, grid_hz=8.0)
