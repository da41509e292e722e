"""The records at every border: what commands, files and the Python API exchange.

All are frozen and validated; times are float seconds from the container's timestamps, spans are half-open, boxes and
joints are fractions of the frame. The JSON core is fixed from schema version 1 on; later versions only add fields.
"""

import json
from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_serializer, model_validator

from omnisila.camera_use import CameraUse
from omnisila.config import Frozen
from omnisila.digests import digest
from omnisila.scene_registry import SCENES, SceneName

SCHEMA_VERSION = 1

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Seconds = Annotated[float, Field(ge=0.0)]
# The router's mean probability of each scene's expert; an absent scene has exactly 0. Source: Omni-SILA Eq. (1).
ExpertWeights = dict[SceneName, Probability]


class Span(Frozen):
    """A half-open stretch of time [start_s, end_s); empty and inverted spans are refused."""

    start_s: Seconds
    end_s: Seconds

    @model_validator(mode="after")
    def _runs_forward(self) -> Self:
        if self.end_s <= self.start_s:
            raise ValueError(f"span [{self.start_s}, {self.end_s}) is empty or inverted: end_s must exceed start_s")
        return self

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


class Box(Frozen):
    """A box in frame fractions; the origin is the frame's top left corner."""

    left_frac: Fraction
    top_frac: Fraction
    right_frac: Fraction
    bottom_frac: Fraction


class FaceEvidence(Frozen):
    """A face seen at one time, with the probability of each of the seven expressions."""

    time_s: Seconds
    box: Box
    score: Probability
    expressions: dict[str, Probability]


class JointEvidence(Frozen):
    """One COCO joint; x and y may leave [0, 1] when a limb leaves the frame."""

    name: str
    x_frac: float
    y_frac: float
    score: Probability


class PersonEvidence(Frozen):
    """A tracked person at one time, with the 17 COCO joints."""

    time_s: Seconds
    track: int
    box: Box
    score: Probability
    joints: tuple[JointEvidence, ...]


class ObjectEvidence(Frozen):
    """A tracked object at one time; ``name`` is its COCO class."""

    time_s: Seconds
    track: int
    name: str
    box: Box
    score: Probability


class TripletEvidence(Frozen):
    """A relation seen at one time: subject, predicate, object, with the boxes they were read from."""

    time_s: Seconds
    subject: str
    predicate: str
    object: str
    score: Probability
    subject_box: Box
    object_box: Box


class SceneEvidence(Frozen):
    """What a scene without records of its own saw at one time, in words."""

    time_s: Seconds
    scene: SceneName
    name: str
    score: Probability
    box: Box | None = None


class Evidence(Frozen):
    """What the scene extractors saw in a span; a cause may name nothing else."""

    faces: tuple[FaceEvidence, ...] = ()
    people: tuple[PersonEvidence, ...] = ()
    objects: tuple[ObjectEvidence, ...] = ()
    triplets: tuple[TripletEvidence, ...] = ()
    others: tuple[SceneEvidence, ...] = ()

    def select(self, choose: Callable[[tuple[Any, ...]], tuple[Any, ...]]) -> Self:
        """The records that are chosen, kind by kind."""
        return self.replace(**{kind: choose(records) for kind, records in self})


class ExpertWeightsPoint(Frozen):
    """Expert weights over [start_s, end_s), flat beside the times."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[SceneName, Probability] = Field(init=False)  # pyright: ignore[reportIncompatibleVariableOverride]

    start_s: Seconds
    end_s: Seconds

    @model_serializer
    def _weights_first(self) -> dict[str, Any]:
        return {**self.weights, "start_s": self.start_s, "end_s": self.end_s}

    @property
    def weights(self) -> ExpertWeights:
        return {scene: self.__pydantic_extra__[scene] for scene in SCENES if scene in self.__pydantic_extra__}


class CurvePoint(Frozen):
    """Anomaly over [start_s, end_s): one minus the quiet label's probability in the first label set asked for.

    ``posterior`` holds every label set's label probabilities as findings are located by them, so that no second curve
    is needed. The score is of votes' means, and some labels are averaged into it (decisions D265 and D267).
    """

    start_s: Seconds
    end_s: Seconds
    score: Probability
    posterior: dict[str, dict[str, Probability]] = Field(default_factory=dict)


class IntensityPoint(Frozen):
    """Reaction intensities over [start_s, end_s), by label. Source: emotional-reaction paper 5.1."""

    start_s: Seconds
    end_s: Seconds
    intensities: dict[str, Probability]


class Finding(Frozen):
    """What (label), when (span) and why (cause, evidence); score = mean posterior of the label over the span.

    ``id`` (``digests.finding_id``) is that of video, label set, label and span; None where no analysis made it.
    """

    id: str | None = None
    span: Span
    label: str
    labels: str
    score: Probability
    cause: str | None
    cause_by: Literal["evidence", "model"] | None = None  # chosen from what was seen, or the model's own words
    evidence: Evidence = Evidence()
    expert_weights: ExpertWeights | None = None


class VideoIdentity(Frozen):
    """Which file was analysed, as the container describes it and as far as it decoded."""

    path: str
    sha256: str
    duration_s: Seconds
    rate_hz: float | None
    width_px: int
    height_px: int
    decoded_ratio: Fraction


class ModelIdentity(Frozen):
    """Which model answered; ``digest`` is the SHA-256 over its weights and configuration."""

    name: str
    version: str
    digest: str


class Analysis(Frozen):
    """Everything one run says about one video; written as ``<name>.json``."""

    schema_version: Literal[1] = SCHEMA_VERSION
    video: VideoIdentity
    labels: tuple[str, ...]
    labels_not_scored: tuple[str, ...]
    model: ModelIdentity
    findings: tuple[Finding, ...]
    anomaly_curve: tuple[CurvePoint, ...]
    expert_weights: tuple[ExpertWeightsPoint, ...]
    intensities: dict[str, Probability] | None = None
    intensity_curve: tuple[IntensityPoint, ...] = ()
    camera: CameraUse | None = None
    warnings: tuple[str, ...] = ()
    timings_s: dict[str, Seconds] = Field(default_factory=dict)


class Truth(Frozen):
    """An annotated finding of an example."""

    span: Span
    label: str
    cause: str | None = None


class Example(Frozen):
    """One line of ``examples.jsonl``: a stretch of video, an instruction and its true answer.

    ``group`` names the source (video, take, person) that must not stand on both sides of a split. ``video_sha256`` is
    that of the footage the example was made from; None where the footage was not at hand.
    """

    id: str
    video: str
    video_sha256: str | None = None
    start_s: Seconds
    end_s: Seconds
    task: Literal["identify", "locate", "attribute", "describe", "react"]
    labels: str
    instruction: str
    answer: str
    truth: tuple[Truth, ...] = ()
    intensities: dict[str, Probability] | None = None
    split: Literal["train", "val", "test"]
    group: str

    @property
    def digest(self) -> str:
        """SHA-256 of what is asked: video, time, task, label set, instruction; a corrected answer changes nothing."""
        asked = (self.video, self.start_s, self.end_s, self.task, self.labels, self.instruction)
        return digest(json.dumps(asked))


class Prediction(Frozen):
    """One line of ``predictions.jsonl``; what cannot be parsed stays in ``answer`` with ``parse_ok`` false.

    ``example_digest`` (of ``Example.digest``) and ``video_sha256`` say which question about which footage is answered,
    since ids are places in a list; both are None in others' files. ``seconds``: file to answer, a batch in equal parts.
    """

    example_id: str
    example_digest: str | None = None
    video_sha256: str | None = None
    system: str
    answer: str
    findings: tuple[Finding, ...] = ()
    anomaly: Probability | None = None
    posterior: dict[str, Probability] | None = None
    expert_weights: ExpertWeights | None = None
    intensities: dict[str, Probability] | None = None
    seconds: Seconds | None = None
    parse_ok: bool = True

    def is_stale(self, example: Example) -> bool:
        """Whether it answers another version of the example of its id: another question, or other footage."""
        pairs = (self.example_digest, example.digest), (self.video_sha256, example.video_sha256)
        return any(answered != asked for answered, asked in pairs if answered is not None and asked is not None)


class Score(Frozen):
    """One measured number; ``low`` and ``high`` bound its 95 % bootstrap interval, ``p_value`` is of a difference."""

    metric: str
    variant: str
    value: float | None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    count: int
    note: str | None = None


class Scores(Frozen):
    """All numbers of one system on one set of examples: the content of ``scores.json``."""

    system: str
    scores: tuple[Score, ...]
