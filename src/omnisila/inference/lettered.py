"""A model behind an endpoint by likelihood: each window's question is a choice between letters.

The letter is an answer's first token, the only one of whose alternatives such endpoints state log-probabilities (D231).
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from omnisila.data.instructions import Located
from omnisila.digests import digest
from omnisila.endpoint import Estimate
from omnisila.errors import OmnisilaError
from omnisila.inference.analyzer import UNTAUGHT
from omnisila.inference.asking import AskedAnalyzer, LocatedIn, answers_in_order
from omnisila.inference.endpoint_llm import PICTURE_PX, EndpointLLM, Shown, estimate, too_many
from omnisila.inference.parsed_answers import located_findings, located_within, parsed_answer, posterior_prediction
from omnisila.inference.querying import Querying
from omnisila.inference.run_folders import OPENAI, QUERY
from omnisila.inference.scoring import UNCALIBRATED, Scored
from omnisila.inference.seeing import GREY, scene_text
from omnisila.inference.settings import AnalyzerConfig
from omnisila.labels import LabelSet, check_label_sets, label_set
from omnisila.media.clips import jpeg
from omnisila.media.video import probe
from omnisila.operating_points import VALIDITY
from omnisila.scene_registry import SCENES
from omnisila.scenes.cache import Extracted, FeatureCache
from omnisila.scenes.windows import WindowConfig, frame_times, tiles, windows
from omnisila.schema import Example, Finding, ModelIdentity, Prediction, Span
from omnisila.spans import anomaly_scores


class LetteredAnalyzer(AskedAnalyzer):
    """A model behind an endpoint by likelihood: every window's question is a choice between letters.

    Curve, thresholds and spans follow as from any model; causes are asked for in words.

    Raises:
        LabelError: no such label set.
        InputError: reactions, or settings that mean nothing to it.
    """

    llm: EndpointLLM
    way = "is behind an endpoint"
    meaningless = ("hop_s", "max_fnr", "camera")
    validity = VALIDITY

    def __init__(
        self, model: str, llm: EndpointLLM, config: AnalyzerConfig, cache: FeatureCache, told: Sequence[str] = ()
    ) -> None:
        super().__init__(model, llm, config, cache, told)
        self.llm = llm
        own = WindowConfig()
        self.window = own.replace(window_s=config.window_s or own.window_s, rate_hz=config.rate_hz or own.rate_hz)
        self._of_nothing: dict[str, np.ndarray] = {}  # by label set

    @property
    def identity(self) -> ModelIdentity:
        """Its name, and a digest of the endpoint's address and of how it is asked."""
        known = super().identity
        return known.replace(digest=digest(known.digest, self.way_digest))

    @property
    def way_digest(self) -> str:
        config = self.config
        ways = (self.window.model_dump_json(), config.contextual, config.scene_text, config.send_video)
        return digest(*map(str, ways))

    @property
    def notes(self) -> tuple[str, ...]:
        cached = (self.cache.warning,) if self.cache.warning else ()
        return (*cached, UNTAUGHT, "thresholds are not calibrated for this model", *self.told)

    def requests(self, duration_s: float) -> int:
        """A question for each window and label set."""
        return sum(1 for _ in tiles(0.0, duration_s, self.window.window_s)) * len(self.config.labels)

    def locate(self, path: Path, extracted: Extracted, progress: Callable[[float], None]) -> LocatedIn:
        """Every window by the weights of its letters; spans as of any curve.

        Raises:
            OmnisilaError: no answer, or no log-probabilities that can be believed.
        """
        sets = [label_set(name) for name in self.config.labels]
        scored = self.score_windows(extracted, sets, progress)
        found = [(labels, span) for labels in sets for span in scored.label_spans(labels.labels, labels, UNCALIBRATED)]
        return LocatedIn(tuple(found), scored.curve({labels.name: labels.labels for labels in sets}))

    def score_windows(
        self, extracted: Extracted, sets: Sequence[LabelSet], progress: Callable[[float], None] = lambda _: None
    ) -> Scored:
        """The posteriors of every window of a video.

        Raises:
            OmnisilaError: no answer, or no log-probabilities that can be believed.
        """
        self.ask_of_nothing(sets)
        spans: list[Span] = []

        def asked() -> Iterator[tuple[LabelSet, Span]]:
            for window in windows(self.cache.shards(extracted), self.window, extracted.info.duration_s):
                spans.append(window.span)
                progress(min(window.span.end_s / max(extracted.info.duration_s, 1e-6), 1.0))
                yield from ((labels, window.span) for labels in sets)

        rows = list(
            answers_in_order(lambda pair: self.posterior(pair[0], pair[1], extracted), asked(), self.llm.parallel)
        )
        matrices = {labels.name: np.stack(rows[place :: len(sets)]) for place, labels in enumerate(sets)}
        anomaly = anomaly_scores(matrices[sets[0].name], sets[0].labels, sets[0])
        return Scored(tuple(spans), matrices, anomaly, np.zeros((len(spans), len(SCENES))))

    def posterior(self, labels: LabelSet, span: Span, extracted: Extracted) -> Float[np.ndarray, "labels"]:
        """P(label) over a stretch.

        Raises:
            OmnisilaError: no answer, or no log-probabilities that can be believed.
        """
        before = scene_text(self.cache.shards(extracted, span), span) if self.config.scene_text else ""
        shown = self.llm.show(extracted.path, (span.start_s, span.end_s), frame_times(span, self.window))
        weights = self.llm.weigh(labels, shown, before)
        if self.config.contextual:
            weights = weights / np.maximum(self._of_nothing[labels.name], 1e-6)
        return weights / weights.sum()

    def ask_of_nothing(self, sets: Iterable[LabelSet]) -> None:
        """Know the letters' weights for an empty video, where posteriors are relative to it.

        Raises:
            OmnisilaError: no answer, or no log-probabilities that can be believed.
        """
        for labels in sets if self.config.contextual else ():
            if labels.name not in self._of_nothing:
                grey = jpeg(torch.full((PICTURE_PX * 9 // 16, PICTURE_PX, 3), GREY, dtype=torch.uint8))
                empty = Shown("The pictures are frames of a video.", (grey,) * self.llm.frames)
                self._of_nothing[labels.name] = self.llm.weigh(labels, empty)


class LetteredSystem:
    """Answers to examples from a model behind an endpoint by likelihood; what wants words is asked in words."""

    notice = ""

    def __init__(self, analyzer: LetteredAnalyzer) -> None:
        self.analyzer, self.name = analyzer, _system_name(analyzer)

    def predictions(self, video: Path, examples: Sequence[Example]) -> Iterator[Prediction]:
        """One prediction an example.

        Raises:
            OmnisilaError: the video cannot be read, or no answer comes.
        """
        began = time.perf_counter()
        extracted = self.analyzer.cache.ensure_features(video, self.analyzer.sem)
        features_s = time.perf_counter() - began
        identify = {example.labels for example in examples if example.task == "identify"}
        self.analyzer.ask_of_nothing(label_set(name) for name in identify)
        located: dict[str, tuple[tuple[Finding, ...], float]] = {}
        for name, count in Counter(example.labels for example in examples if example.task == "locate").items():
            began, labels = time.perf_counter(), label_set(name)
            found = self.analyzer.score_windows(extracted, [labels]).label_spans(labels.labels, labels, UNCALIBRATED)
            findings = (located_findings([Located(span.label, span.span)], name, span.score) for span in found)
            located[name] = tuple(chain.from_iterable(findings)), (time.perf_counter() - began) / count

        def answer(example: Example) -> Prediction:
            began, span = time.perf_counter(), Span(start_s=example.start_s, end_s=example.end_s)
            before_s = features_s
            if example.task == "identify":
                labels = label_set(example.labels)
                shares = self.analyzer.posterior(labels, span, extracted).tolist()
                said = posterior_prediction(example, self.name, dict(zip(labels.labels, shares, strict=True)))
            elif example.task == "locate":
                findings, spent_s = located[example.labels]
                said, before_s = located_within(example, self.name, findings), features_s + spent_s
            else:
                asked = self.analyzer.llm.ask(video, (span.start_s, span.end_s), Querying.question(example))
                said = parsed_answer(example, asked, self.name)
            return said.replace(seconds=before_s + time.perf_counter() - began)

        yield from answers_in_order(answer, examples, self.analyzer.llm.parallel)


def endpoint_analyzer(model: str, settings: AnalyzerConfig, cache: FeatureCache) -> AskedAnalyzer:
    """``openai:NAME`` by likelihood where the endpoint states one that can be believed, else asked in words.

    ``query:openai:NAME`` is asked in words. Two short questions without pictures find out which it is, and that the
    address, the key and the model are right.

    Raises:
        InputError: they are not, or settings that mean nothing to it.
        OmnisilaError: no answer comes.
    """
    llm = EndpointLLM.of_settings(model.removeprefix(QUERY).removeprefix(OPENAI), settings)
    check_label_sets(settings.labels)
    fault = llm.endpoint.letters_fault()
    if model.startswith(QUERY):
        return AskedAnalyzer(model, llm, settings, cache)
    fault = fault or next(filter(None, (too_many(label_set(name)) for name in settings.labels)), "")
    if not fault:
        return LetteredAnalyzer(model, llm, settings, cache)
    told = f"{model} states no likelihoods that can be used: {fault}. It is asked in words, as {QUERY}{model}."
    unused = {"window_s": None, "rate_hz": None, "contextual": False, "scene_text": False}
    return AskedAnalyzer(f"{QUERY}{model}", llm, settings.replace(**unused), cache, (told,))


def endpoint_system(model: str, settings: AnalyzerConfig, cache: FeatureCache) -> "LetteredSystem | Querying":
    """The same as a system that answers examples.

    Raises:
        InputError: as ``endpoint_analyzer``.
        OmnisilaError: as ``endpoint_analyzer``.
    """
    analyzer = endpoint_analyzer(model, settings, cache)
    if isinstance(analyzer, LetteredAnalyzer):
        return LetteredSystem(analyzer)
    return Querying(_system_name(analyzer), analyzer.llm, notice=" ".join(analyzer.told))


def _system_name(analyzer: AskedAnalyzer) -> str:
    """Another one for another server or another way of asking, so that answers are never mixed."""
    return f"{analyzer.model}@{analyzer.identity.digest[:12]}"


def describe_estimate(analyzer: object, paths: Iterable[Path]) -> str:
    """What analysing videos will ask an endpoint for, in words; those that cannot be read cost nothing."""
    assert isinstance(analyzer, AskedAnalyzer)  # behind an endpoint
    requests = 0
    for path in paths:
        with suppress(OmnisilaError):
            requests += analyzer.requests(probe(path).duration_s)
    weighed = isinstance(analyzer, LetteredAnalyzer)
    cost = estimate(requests * weighed, requests * (not weighed), analyzer.config)
    return f"{analyzer.identity.name}: {cost}; the cause of each finding is one request more"


def estimate_answers(system: object, examples: Sequence[Example], settings: AnalyzerConfig) -> Estimate:
    """What answering examples will ask an endpoint for, about: a video is taken to end with its last locate example.

    The windows of a video are shared by its locate questions.
    """
    if not isinstance(system, LetteredSystem):
        return estimate(0, len(examples), settings)
    tasks = Counter(example.task for example in examples)
    ends_s: dict[tuple[str, str], float] = {}
    for example in examples:
        if example.task == "locate":
            key = example.video, example.labels
            ends_s[key] = max(ends_s.get(key, 0.0), example.end_s)
    length_s = system.analyzer.window.window_s
    located = sum(1 for end_s in ends_s.values() for _ in tiles(0.0, end_s, length_s))
    return estimate(tasks["identify"] + located, tasks.total() - tasks["identify"] - tasks["locate"], settings)
