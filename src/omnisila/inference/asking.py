"""A Video-LLM that is asked about whole videos in the papers' words: one on this machine, or one behind an endpoint.

Source: Omni-SILA 3.5 (identify, locate, attribute).
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

from omnisila.data.instructions import Instruction, parse_located, render_instruction, render_question
from omnisila.digests import digest, finding_id
from omnisila.errors import InputError
from omnisila.inference.analyzer import Progress, tell_no_one, video_identity
from omnisila.inference.attributing import MAX_CAUSE_TOKENS, seen_over
from omnisila.inference.frozen_llm import ANSWER_TOKENS
from omnisila.inference.run_folders import QUERY, is_endpoint
from omnisila.inference.settings import AnalyzerConfig
from omnisila.labels import LABEL_SETS, REACTION, LabelSet, check_label_sets, label_set
from omnisila.pace import time_stage
from omnisila.scenes.cache import Extracted, FeatureCache
from omnisila.scenes.profile import LoadedWhenNeeded
from omnisila.scenes.sem import SEMConfig
from omnisila.schema import Analysis, CurvePoint, Finding, ModelIdentity, Span
from omnisila.spans import LabelledSpan
from omnisila.weights.checkpoint_files import folder_digest

VALIDITY = "The model was asked; it states no probabilities, so every finding has score 1."
Item = TypeVar("Item")
Answer = TypeVar("Answer")


@runtime_checkable
class Asks(Protocol):
    """What can be asked about a stretch of a video.

    Attributes:
        parallel: how many questions may be on their way at a time.
    """

    parallel: int

    def ask(self, video: Path, span_s: tuple[float, float], prompt: str, max_tokens: int = ANSWER_TOKENS) -> str:
        """The answer's text.

        Raises:
            OmnisilaError: the video cannot be read, or no answer comes.
        """
        ...


def answers_in_order(ask: Callable[[Item], Answer], items: Iterable[Item], parallel: int) -> Iterator[Answer]:
    """Answers in the order of their questions, of which so many are on their way at a time and no more are held."""
    if parallel == 1:
        yield from map(ask, items)
        return
    waiting: deque[Future[Answer]] = deque()
    with ThreadPoolExecutor(parallel) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(ask, item))
                if len(waiting) == parallel:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for late in waiting:
                late.cancel()


class LocatedIn(NamedTuple):
    """What was found in a video, by label set; the curve where there is one; and what could not be read of answers."""

    spans: tuple[tuple[LabelSet, LabelledSpan], ...]
    curve: tuple[CurvePoint, ...] = ()
    unread: tuple[str, ...] = ()


class AskedAnalyzer:
    """The papers' instruction over a whole video, and a second question for the cause of each finding.

    An answer that is not of the form that was asked for is kept as text among the warnings; nothing is guessed from it.

    Args:
        cache: of scene features; they are the evidence beside the findings.

    Raises:
        LabelError: no such label set.
        InputError: reactions, or settings that mean nothing to a model that is asked.
    """

    way = "is asked about whole videos"
    meaningless: tuple[str, ...] = ("window_s", "hop_s", "rate_hz", "max_fnr", "camera")
    validity = VALIDITY  # what its scores mean

    def __init__(
        self, model: str, llm: Asks, config: AnalyzerConfig, cache: FeatureCache, told: Sequence[str] = ()
    ) -> None:
        check_label_sets(config.labels)
        if REACTION.name in config.labels:
            raise InputError(f"model {model!r}: reactions are asked with omnisila predict. Leave {REACTION.name} out.")
        given = [name for name in self.meaningless if getattr(config, name)]
        if given:
            options = ", ".join(f"--{name.removesuffix('_s').removesuffix('_hz').replace('_', '-')}" for name in given)
            raise InputError(f"model {model!r} {self.way}: {options} mean nothing to it. Leave them out.")
        self.model, self.llm, self.config, self.cache, self.told = model, llm, config, cache, tuple(told)
        self.sem = LoadedWhenNeeded(SEMConfig())

    @property
    def identity(self) -> ModelIdentity:
        """Its name, and a digest of the weights or of the endpoint's address."""
        local = self.model.removeprefix(QUERY)
        what = str(self.config.server) if is_endpoint(self.model) else folder_digest(local)
        sets = (LABEL_SETS[name].model_dump_json() for name in self.config.labels)
        return ModelIdentity(name=self.model, version="1", digest=digest(self.model, what, *sets))

    @property
    def notes(self) -> tuple[str, ...]:
        cached = (self.cache.warning,) if self.cache.warning else ()
        return (*cached, f"{VALIDITY} Causes are its own words, which nothing has checked.", *self.told)

    def requests(self, duration_s: float) -> int:  # one a label set, however long it is
        """How many questions locate takes of a video so long; each finding's cause is one more."""
        return len(self.config.labels)

    def analyze(self, path: str | Path, progress: Progress | None = None) -> Analysis:
        """Findings of one video.

        Raises:
            MediaError: it cannot be read as a video.
            OmnisilaError: the model gives no answer.
        """
        path, report = Path(path), progress or tell_no_one
        timings: dict[str, float] = {}
        with time_stage(timings, "features"):
            extracted = self.cache.ensure_features(path, self.sem, lambda share: report("features", share))
        with time_stage(timings, "locate"):
            located = self.locate(path, extracted, lambda share: report("locate", share))
        with time_stage(timings, "attribute"):
            findings = list(
                answers_in_order(
                    lambda found: self._explain(found[0], found[1], path, extracted), located.spans, self.llm.parallel
                )
            )
        report("attribute", 1.0)
        findings.sort(key=lambda finding: (finding.span.start_s, finding.span.end_s))
        return Analysis(
            video=video_identity(path, extracted.sha256, extracted.info, extracted.decoded_ratio),
            labels=self.config.labels,
            labels_not_scored=(),
            model=self.identity,
            findings=tuple(findings),
            anomaly_curve=located.curve,
            expert_weights=(),
            warnings=(*extracted.warnings, *self.notes, *located.unread),
            timings_s={stage: round(seconds, 3) for stage, seconds in timings.items()},
        )

    def locate(self, path: Path, extracted: Extracted, progress: Callable[[float], None]) -> LocatedIn:
        """What it says is where.

        Raises:
            OmnisilaError: the model gives no answer.
        """
        duration_s = extracted.info.duration_s

        def ask(labels: LabelSet) -> str:
            instruction = render_instruction(Instruction("locate", labels))
            return self.llm.ask(path, (0.0, duration_s), render_question("locate", instruction, labels.name))

        sets = [label_set(name) for name in self.config.labels]
        spans: list[tuple[LabelSet, LabelledSpan]] = []
        unread: list[str] = []
        for labels, answer in zip(sets, answers_in_order(ask, sets, self.llm.parallel), strict=True):
            located = parse_located(answer, labels)
            if located is None:
                said = " ".join(answer.split())
                unread.append(f"{labels.name}: the answer is not of the form that was asked for: {said!r}")
            for label, span in located or ():
                if label != labels.quiet and span.start_s < duration_s:
                    within = Span(start_s=span.start_s, end_s=min(span.end_s, duration_s))
                    spans.append((labels, LabelledSpan(within, label, 1.0)))
        progress(1.0)
        return LocatedIn(tuple(spans), unread=tuple(unread))

    def _explain(self, labels: LabelSet, found: LabelledSpan, path: Path, extracted: Extracted) -> Finding:
        question = render_instruction(Instruction("attribute", labels, found.label))
        span = found.span
        cause = self.llm.ask(path, (span.start_s, span.end_s), question, MAX_CAUSE_TOKENS).strip()
        return Finding(
            id=finding_id(extracted.sha256, labels.name, found.label, span.start_s, span.end_s),
            span=span, label=found.label, labels=labels.name, score=min(max(found.score, 0.0), 1.0),
            cause=cause or None, cause_by="model",
            evidence=seen_over(span, lambda part: self.cache.shards(extracted, part)).evidence,
        )  # fmt: skip
