"""A Video-LLM that is asked about whole videos in the papers' words: one on this machine, or one behind an endpoint.

Source: Omni-SILA 3.5 (identify, locate, attribute).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, Self, runtime_checkable

from omnisila.data.instructions import Instruction, Located, parse_located, render_instruction, render_question
from omnisila.digests import digest
from omnisila.endpoint import Endpoint, EndpointConfig
from omnisila.errors import InputError
from omnisila.inference.analyzer import Progress, is_silent, video_identity
from omnisila.inference.attributing import MAX_CAUSE_TOKENS, seen_over
from omnisila.inference.frozen_llm import ANSWER_TOKENS, FRAMES, FrozenLLM
from omnisila.inference.run_folders import OPENAI, QUERY
from omnisila.inference.settings import AnalyzerConfig
from omnisila.labels import LABEL_SETS, REACTION, check_label_sets, label_set
from omnisila.media.clips import jpeg
from omnisila.media.sampling import frames_at
from omnisila.media.video import VideoInfo
from omnisila.pace import time_stage
from omnisila.scenes.cache import Extracted, FeatureCache
from omnisila.scenes.profile import LoadedWhenNeeded
from omnisila.scenes.sem import SEMConfig
from omnisila.schema import Analysis, Finding, ModelIdentity, Span
from omnisila.weights.checkpoint_files import folder_digest

PICTURE_PX = 512  # long side of a frame that is sent
VALIDITY = "The model was asked; it states no probabilities, so every finding has score 1."


@runtime_checkable
class Asks(Protocol):
    """What can be asked about a stretch of a video."""

    def ask(self, video: Path, span_s: tuple[float, float], prompt: str, max_tokens: int = ANSWER_TOKENS) -> str:
        """The answer's text.

        Raises:
            OmnisilaError: the video cannot be read, or no answer comes.
        """
        ...


class EndpointLLM:
    """A model behind an OpenAI-compatible endpoint, which is sent frames as pictures and their true times in words.

    Args:
        endpoint: the client.
        frames: of a stretch.
    """

    def __init__(self, endpoint: Endpoint, frames: int = FRAMES) -> None:
        self.endpoint, self.frames = endpoint, frames

    @classmethod
    def of_settings(cls, name: str, settings: AnalyzerConfig) -> Self:
        """The model of that name at the settings' address.

        Raises:
            InputError: no address, no key, or no client.
        """
        if settings.base_url is None:
            raise InputError(f"model {OPENAI}{name}: no address. Give --base-url, such as http://localhost:8000/v1.")
        config = EndpointConfig(base_url=settings.base_url, model=name, key_variable=settings.key_variable)
        return cls(config.build())

    def ask(self, video: Path, span_s: tuple[float, float], prompt: str, max_tokens: int = ANSWER_TOKENS) -> str:  # noqa: ARG002 (the endpoint's own limit holds)
        """The answer as it came."""
        times_s = FrozenLLM.times_s(video, span_s, self.frames)
        pictures = [jpeg(frame.image, long_side_px=PICTURE_PX) for frame in frames_at(video, times_s)]
        told = ", ".join(f"{time_s:.2f}s" for time_s in times_s)
        return self.endpoint.ask(f"The pictures are frames of a video, at {told}.\n{prompt}", pictures).text


def asked_llm(model: str, settings: AnalyzerConfig) -> Asks:
    """What ``query:BACKBONE`` and ``openai:MODEL`` stand for.

    Raises:
        InputError: an endpoint without an address or a key.
        WeightsError: a backbone that is missing, damaged, or of another family.
    """
    if model.startswith(OPENAI):
        return EndpointLLM.of_settings(model.removeprefix(OPENAI), settings)
    return FrozenLLM.load(model.removeprefix(QUERY), frames=None)


class AskedAnalyzer:
    """The papers' instruction over a whole video, and a second question for the cause of each finding.

    An answer that is not of the form that was asked for is kept as text among the warnings; nothing is guessed from it.

    Args:
        model: what it is called.
        llm: what is asked.
        config: which label sets.
        cache: of scene features; they are the evidence beside the findings.

    Raises:
        LabelError: no such label set.
        InputError: reactions, or settings that mean nothing to a model that is asked.
    """

    def __init__(self, model: str, llm: Asks, config: AnalyzerConfig, cache: FeatureCache) -> None:
        check_label_sets(config.labels)
        if REACTION.name in config.labels:
            raise InputError(f"model {model!r}: reactions are asked with omnisila predict. Leave {REACTION.name} out.")
        given = [name for name in ("window_s", "hop_s", "rate_hz", "max_fnr", "camera") if getattr(config, name)]
        if given:
            raise InputError(f"model {model!r} is asked about whole videos: {', '.join(given)} mean nothing to it.")
        self.model, self.llm, self.config, self.cache = model, llm, config, cache
        self.sem = LoadedWhenNeeded(SEMConfig())

    @property
    def identity(self) -> ModelIdentity:
        """Its name, and a digest of the weights or of the endpoint's address."""
        local = self.model.startswith(QUERY)
        what = folder_digest(self.model.removeprefix(QUERY)) if local else str(self.config.base_url)
        sets = (LABEL_SETS[name].model_dump_json() for name in self.config.labels)
        return ModelIdentity(name=self.model, version="1", digest=digest(self.model, what, *sets))

    @property
    def validity(self) -> str:
        """What its scores mean."""
        return VALIDITY

    @property
    def notes(self) -> tuple[str, ...]:
        """The warnings that every video's analysis has alike."""
        cached = (self.cache.warning,) if self.cache.warning else ()
        return (*cached, f"{VALIDITY} Causes are its own words, which nothing has checked.")

    def analyze(self, path: str | Path, progress: Progress | None = None) -> Analysis:
        """Findings of one video.

        Raises:
            MediaError: it cannot be read as a video.
            OmnisilaError: the model gives no answer.
        """
        path, report = Path(path), progress or is_silent
        timings: dict[str, float] = {}
        with time_stage(timings, "features"):
            extracted = self.cache.ensure_features(path, self.sem, lambda share: report("features", share))
        findings: list[Finding] = []
        unread: list[str] = []
        with time_stage(timings, "locate"):
            asked = [(name, self._located(name, path, extracted.info, unread)) for name in self.config.labels]
        with time_stage(timings, "attribute"):
            for name, located in asked:
                findings += (self._found(name, item, path, extracted) for item in located)
        report("attribute", 1.0)
        findings.sort(key=lambda finding: (finding.span.start_s, finding.span.end_s))
        return Analysis(
            video=video_identity(path, extracted.sha256, extracted.info, extracted.decoded_ratio),
            labels=self.config.labels,
            labels_not_scored=(),
            model=self.identity,
            findings=tuple(findings),
            anomaly_curve=(),
            expert_weights=(),
            warnings=(*extracted.warnings, *self.notes, *unread),
            timings_s={stage: round(seconds, 3) for stage, seconds in timings.items()},
        )

    def _located(self, name: str, path: Path, info: VideoInfo, unread: list[str]) -> Iterator[Located]:
        known = label_set(name)
        question = render_question("locate", render_instruction(Instruction("locate", known)), name)
        answer = self.llm.ask(path, (0.0, info.duration_s), question)
        located = parse_located(answer, known)
        if located is None:
            unread.append(f"{name}: the answer is not of the form that was asked for: {' '.join(answer.split())!r}")
        inside = (item for item in located or () if item.label != known.quiet and item.span.start_s < info.duration_s)
        return iter(
            [
                Located(item.label, Span(start_s=item.span.start_s, end_s=min(item.span.end_s, info.duration_s)))
                for item in inside
            ]
        )

    def _found(self, name: str, located: Located, path: Path, extracted: Extracted) -> Finding:
        question = render_instruction(Instruction("attribute", label_set(name), located.label))
        cause = self.llm.ask(path, (located.span.start_s, located.span.end_s), question, MAX_CAUSE_TOKENS).strip()
        evidence = seen_over(located.span, lambda part: self.cache.shards(extracted, part)).evidence
        return Finding(
            span=located.span, label=located.label, labels=name, score=1.0, cause=cause or None, cause_by="model",
            evidence=evidence,
        )  # fmt: skip
