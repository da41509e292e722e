"""Two passes over a video: locate events window by window, then attribute each to what was seen in it.

Source: decision D1.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from omnisila.cameras.unusual import UNUSUAL_SET
from omnisila.digests import digest, finding_id
from omnisila.files import path_text
from omnisila.inference.attributing import attribute_span, ranked_cause, written_cause
from omnisila.inference.cascade import Candidates, candidates
from omnisila.inference.fixed_camera import FixedCamera, camera_facts, unusual_finding
from omnisila.inference.run_folders import run_folder, shortcuts_of
from omnisila.inference.scoring import Scored, Scorer
from omnisila.inference.seeing import See, window_reader
from omnisila.inference.settings import AnalyzerConfig
from omnisila.media.video import VideoInfo
from omnisila.models.checkpoint import Run, load_run
from omnisila.operating_points import VALIDITY
from omnisila.pace import time_stage
from omnisila.scenes.cache import Extracted, FeatureCache
from omnisila.scenes.profile import LoadedWhenNeeded
from omnisila.scenes.windows import Window, WindowConfig, windows
from omnisila.schema import Analysis, ExpertWeights, Finding, ModelIdentity, Span, VideoIdentity
from omnisila.spans import LabelledSpan

UNTAUGHT = (
    "the model was not trained for these labels: its scores are no probabilities of events, and its causes are its own "
    "words, which nothing has checked; the evidence beside them is what the scene extractors saw"
)
Progress = Callable[[str, float], None]  # gets a stage's name and the share of it that is done


class Analyzer:
    """A model, its extractors and a feature cache.

    Raises:
        InputError: a label set the model was not trained on, a false-negative rate it was not calibrated for, or a
            camera that was not learnt with it.
    """

    def __init__(self, run: Run, config: AnalyzerConfig, cache: FeatureCache) -> None:
        self.run, self.config, self.cache = run, config, cache
        self.shortcuts = shortcuts_of(config, run.calibration)
        self.scorer = Scorer(run, config.labels, config.max_fnr, self.shortcuts)
        self.first = self._first_model(config) if self.shortcuts.first else None
        self._see: tuple[Extracted, See] | None = None
        self._candidates: tuple[str, Candidates] | None = None  # of the video that was last asked about
        own = run.record.window
        self.window: WindowConfig = own.replace(
            window_s=config.window_s or own.window_s, rate_hz=config.rate_hz or own.rate_hz
        )
        self.sem = LoadedWhenNeeded(run.record.sem.at_rate(self.window.rate_hz))
        self.camera: FixedCamera | None = None
        if config.camera is not None:
            facts = camera_facts(self.scorer, self.window, self.sem.config.digest)
            self.camera = FixedCamera(config.camera, facts, self.scorer.calibrations, config.alarms_per_hour)
            self.scorer.calibrations = self.camera.calibrations

    @property
    def identity(self) -> ModelIdentity:
        """Which model answers."""
        return self.run.record.identity

    @property
    def results_digest(self) -> str:
        """What differs where the model, its thresholds or what it leaves out do."""
        calibration = self.run.calibration
        thresholds = calibration.model_dump_json() if calibration else ""
        return digest(self.identity.digest, thresholds, self.shortcuts.model_dump_json())

    @property
    def label_sets(self) -> tuple[str, ...]:
        """Names of the label sets that findings may stand under."""
        return (*self.scorer.label_sets, *((UNUSUAL_SET,) if self.camera else ()))

    @property
    def validity(self) -> str:
        """What the thresholds hold for."""
        return self.run.calibration.note if self.run.calibration else VALIDITY

    @property
    def notes(self) -> tuple[str, ...]:
        """The warnings that every video's analysis has alike."""
        return tuple(self._warnings())

    def analyze(self, path: str | Path, progress: Progress | None = None) -> Analysis:
        """Findings of one video with their causes and evidence.

        Args:
            progress: told how far each stage is.

        Raises:
            MediaError: it cannot be read as a video.
        """
        path, report = Path(path), progress or tell_no_one
        timings: dict[str, float] = {}
        with time_stage(timings, "features"):
            extracted = self.extract_features(path, lambda share: report("features", share))
        timings |= {f"features/{stage}": seconds for stage, seconds in extracted.seconds.items()}
        with time_stage(timings, "locate"):
            rating = self.camera.rating(path, extracted.info) if self.camera else None
            scored = self.score_windows(
                extracted, lambda share: report("locate", share), rating.passing if rating else iter
            )
            unusual = tuple(rating.unusual(self.cache.shards(extracted))) if rating else ()
        with time_stage(timings, "attribute"):
            found = [(name, span) for name in self.scorer.label_sets for span in self.scorer.spans(name, scored)]
            found = [(name, span) for name, span in found if self.camera is None or self.camera.reports(span)]
            findings: list[Finding] = []
            for number, (name, span) in enumerate(found):
                report("attribute", number / len(found))
                weights = scored.weights_over(span.span) if self.run.model.scenes else None
                findings.append(self.attribute_span(name, span, weights, extracted))
            for span, cause in unusual:
                weights = scored.weights_over(span.span) if self.run.model.scenes else None
                findings.append(unusual_finding(span, cause, weights, lambda part: self.cache.shards(extracted, part)))
        report("attribute", 1.0)
        findings.sort(key=lambda finding: (finding.span.start_s, finding.span.end_s))
        return Analysis(
            video=video_identity(path, extracted.sha256, extracted.info, extracted.decoded_ratio),
            labels=self.label_sets,
            labels_not_scored=self.scorer.labels_not_scored,
            model=self.run.record.identity,
            findings=tuple(finding.replace(id=_id(extracted.sha256, finding)) for finding in findings),
            anomaly_curve=self.scorer.curve(scored),
            expert_weights=scored.weight_points() if self.run.model.scenes else (),
            camera=self.camera.use if self.camera else None,
            warnings=(*extracted.warnings, *self.notes),
            timings_s={stage: round(seconds, 3) for stage, seconds in timings.items()},
        )

    def extract_features(self, path: Path, progress: Callable[[float], None] | None = None) -> Extracted:
        """The video's scene features, from the cache where they are there.

        Raises:
            MediaError: it cannot be read as a video.
        """
        return self.cache.ensure_features(path, self.sem, progress)

    def score_windows(
        self,
        extracted: Extracted,
        progress: Callable[[float], None] | None = None,
        passing: Callable[[Iterator[Window]], Iterator[Window]] = iter,
    ) -> Scored:
        """Every window of a video, scored by the likelihood of each label; ``passing`` sees each on its way."""
        cut = passing(windows(self.cache.shards(extracted), self.window, extracted.info.duration_s))
        return self.scorer.score_windows(
            cut, self.see(extracted), extracted.info.duration_s, progress, self.is_candidate(extracted)
        )

    def is_candidate(self, extracted: Extracted) -> Callable[[Span], bool]:
        """Whether the model is to see a stretch of a video, or the first model has ruled it out."""
        if self.first is None:
            return lambda _: True
        if self._candidates is None or self._candidates[0] != extracted.sha256:
            seen = self.first.extract_features(extracted.path)
            margin_s = max(calibration.shape.smooth_s for calibration in self.scorer.calibrations.values()) / 2
            found = candidates(
                self.first.scorer, self.first.score_windows(seen), self.shortcuts.first_threshold, margin_s
            )
            self._candidates = extracted.sha256, found
        return self._candidates[1].is_near

    def _first_model(self, config: AnalyzerConfig) -> "Analyzer":
        """What scores every window: asked for the same label sets, or for all that it knows where it lacks one."""
        run = load_run(run_folder(str(config.first)))
        is_known = set(config.labels) <= run.record.labels.keys()
        labels = config.labels if is_known else tuple(run.record.labels)
        return Analyzer(run, AnalyzerConfig(labels=labels), self.cache)

    def see(self, extracted: Extracted) -> See:
        """How windows of a video become the model's input; the last video's frames stay known."""
        if self._see is None or self._see[0] != extracted:
            self._see = (
                extracted,
                window_reader(self.run, extracted.path, lambda span: self.cache.shards(extracted, span)),
            )
        return self._see[1]

    def attribute_span(
        self, name: str, found: LabelledSpan, weights: ExpertWeights | None, extracted: Extracted
    ) -> Finding:
        """A span as a finding with its cause and evidence; ``weights``: the experts' over the span, if any."""
        return attribute_span(
            self.run.model,
            self.scorer.label_sets[name],
            self.run.record.labels[name],
            found,
            weights,
            lambda span: self.cache.shards(extracted, span),
            self.cache.window(extracted, found.span, self.window),
            self.see(extracted),
            ranked_cause if self.run.pretrained is None else written_cause,
        )

    def _warnings(self) -> Iterator[str]:
        if self.cache.warning:
            yield self.cache.warning
        if self.run.record.zero_shot is not None:
            yield UNTAUGHT
        if self.run.pretrained is not None and self.run.pretrained.backbone.notice:
            yield self.run.pretrained.backbone.notice
        yield from not_scored(self.scorer.labels_not_scored)
        own = self.run.record.window
        if self.window != own:
            yield (
                f"windows of {self.window.window_s:g} s at {self.window.rate_hz:g} Hz, but the model was trained on "
                f"{own.window_s:g} s at {own.rate_hz:g} Hz: scores may be off"
            )
        if self.camera is not None:
            yield from self.camera.notes
        if self.first is not None:
            yield (
                f"{self.first.identity.name} scored every window; this model saw only what lies near its scores of at "
                f"least {self.shortcuts.first_threshold:g}, and calls the rest quiet"
            )
        if self.run.calibration is not None and self.run.calibration.shortcuts != self.shortcuts:
            yield (
                "thresholds were fitted with other choices of --first, --first-threshold and --video-tokens: what is "
                "missed by them is not in the stated rates. Calibrate again with these options"
            )
        if self.run.calibration is None:
            yield "thresholds are not calibrated for this model"
        elif self.config.max_fnr is not None:
            for name, calibration in self.scorer.calibrations.items():
                point = calibration.at_most(self.config.max_fnr)
                yield (
                    f"{name}: thresholds for at most {point.fnr_target:.0%} missed per video, at "
                    f"{point.false_alarms_per_hour or 0:.0f} false alarms per hour on the validation footage. "
                    f"{self.run.calibration.note}"
                )


def _id(video_sha256: str, found: Finding) -> str:
    return finding_id(video_sha256, found.labels, found.label, found.span.start_s, found.span.end_s)


def tell_no_one(_stage: str, _share: float) -> None:
    """Progress that nobody wants to know."""


def not_scored(labels: Sequence[str]) -> Iterator[str]:
    """The warning that names labels which a model was not trained on."""
    if labels:
        yield f"not scored, for the model was not trained on them: {', '.join(labels)}"


def video_identity(path: Path, sha256: str, info: VideoInfo, decoded_ratio: float) -> VideoIdentity:
    """Which file was analysed."""
    return VideoIdentity(
        path=path_text(path),
        sha256=sha256,
        duration_s=info.duration_s,
        rate_hz=info.rate_hz,
        width_px=info.width_px,
        height_px=info.height_px,
        decoded_ratio=decoded_ratio,
    )
