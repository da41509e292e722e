"""A trained scene model as a system that answers examples."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from omnisila.data.instructions import NOTHING, parse_instruction
from omnisila.errors import InputError
from omnisila.inference.analyzer import Analyzer
from omnisila.inference.parsed_answers import located_within, posterior_prediction
from omnisila.inference.run_folders import run_folder
from omnisila.inference.settings import AnalyzerConfig
from omnisila.inference.zero_shot import load_model
from omnisila.labels import label_set
from omnisila.scenes.cache import Extracted, FeatureCache
from omnisila.scenes.windows import Window, tiles
from omnisila.schema import Example, Prediction, Span
from omnisila.spans import LabelledSpan

BATCH_EXAMPLES = 32
MOST_WINDOWS = 32  # of an example, spread evenly over it
MODEL_TASKS = ("identify", "locate", "attribute", "describe")


class ModelSystem:
    """A run folder's model over examples of every label set it was trained on; a plain Video-LLM over any.

    Raises:
        InputError: no such model.
        WeightsError: its files are damaged.
    """

    def __init__(self, model: str, cache: FeatureCache, settings: AnalyzerConfig | None = None) -> None:
        settings = settings or AnalyzerConfig()
        self.run = load_model(model, run_folder(model), settings)
        self.analyzer = Analyzer(self.run, settings.replace(labels=tuple(self.run.record.labels)), cache)
        self.notice = self.run.pretrained.backbone.notice if self.run.pretrained else ""
        self.name = f"{self.run.record.name}@{self.run.record.identity.digest[:12]}{self.analyzer.shortcuts.suffix}"

    def predictions(self, video: Path, examples: Sequence[Example]) -> Iterator[Prediction]:
        for example in examples:
            if example.task not in MODEL_TASKS or (
                example.task != "describe" and example.labels not in self.run.record.labels
            ):
                raise InputError(
                    f"{example.id}: model {self.run.record.name} does not answer {example.task} of label set "
                    f"{example.labels!r}. It answers {', '.join(MODEL_TASKS)} of {', '.join(self.run.record.labels)}."
                )
        began = time.perf_counter()
        extracted = self.analyzer.extract_features(video)
        features_s = time.perf_counter() - began
        for prediction in self._answers(video, examples, extracted):
            yield prediction.replace(seconds=features_s + (prediction.seconds or 0.0))

    def _answers(self, video: Path, examples: Sequence[Example], extracted: Extracted) -> Iterator[Prediction]:
        """Answers with the seconds that each took once the features were known."""
        identify = [example for example in examples if example.task == "identify"]
        if identify:
            began = time.perf_counter()
            is_candidate = self.analyzer.is_candidate(extracted)
            first_s = time.perf_counter() - began
            seen = [example for example in identify if is_candidate(_span(example))]
            for start in range(0, len(seen), BATCH_EXAMPLES):
                for prediction in self._identify(seen[start : start + BATCH_EXAMPLES], extracted):
                    yield prediction.replace(seconds=first_s + (prediction.seconds or 0.0))
            for example in identify:
                if not is_candidate(_span(example)):
                    yield self._ruled_out(example).replace(seconds=first_s)
        located = [example for example in examples if example.task == "locate"]
        if located:
            began = time.perf_counter()
            wanted = tuple(dict.fromkeys(example.labels for example in located))
            asked = self.analyzer.config.replace(labels=wanted)
            findings = Analyzer(self.run, asked, self.analyzer.cache).analyze(video).findings
            seconds = (time.perf_counter() - began) / len(located)
            for example in located:
                yield located_within(example, self.name, findings).replace(seconds=seconds)
        for example in examples:
            if example.task in ("attribute", "describe"):
                began = time.perf_counter()
                prediction = self._answer(example, extracted)
                yield prediction.replace(seconds=time.perf_counter() - began)

    def _identify(self, examples: Sequence[Example], extracted: Extracted) -> Iterator[Prediction]:
        began = time.perf_counter()
        windows = [self._windows(example, extracted) for example in examples]
        inputs = self.analyzer.see(extracted)([window for some in windows for window in some])
        judged = self.analyzer.scorer.judge_windows(inputs, sorted({example.labels for example in examples}))
        seconds = (time.perf_counter() - began) / len(examples)
        past = 0
        for some, example in zip(windows, examples, strict=True):
            rows, past = slice(past, past + len(some)), past + len(some)
            found = judged[example.labels].over(rows)
            shares = zip(self.run.record.labels[example.labels], found.posterior[0].tolist(), strict=True)
            weights = found.weights(0) if self.run.model.scenes else None
            said = posterior_prediction(example, self.name, dict(shares))
            yield said.replace(expert_weights=weights, seconds=seconds)

    def _ruled_out(self, example: Example) -> Prediction:
        """The quiet label, where the first model found no candidate."""
        quiet = label_set(example.labels).quiet
        return posterior_prediction(
            example, self.name, {label: float(label == quiet) for label in self.run.record.labels[example.labels]}
        )

    @torch.inference_mode()
    def _answer(self, example: Example, extracted: Extracted) -> Prediction:
        asked = parse_instruction(example.instruction)
        if asked is not None and asked.task != example.task:
            asked = None
        if asked is None and self.run.record.zero_shot is None:
            raise InputError(f"{example.id}: instruction {example.instruction!r} is none that the model was taught.")
        inputs = self.analyzer.see(extracted)([self._window(example, extracted)])
        if asked is None or asked.labels is None or asked.label is None:
            generated = self.run.model.generate(inputs.scenes, inputs.visual, [example.instruction])
            return Prediction(example_id=example.id, system=self.name, answer=generated.texts[0])
        judged = self.analyzer.scorer.judge_windows(inputs, [asked.labels.name])[asked.labels.name]
        trained = self.run.record.labels[asked.labels.name]
        score = float(judged.posterior[0, trained.index(asked.label)]) if asked.label in trained else 0.0
        found = LabelledSpan(span=_span(example), label=asked.label, score=score)
        weights = judged.weights(0) if self.run.model.scenes else None
        finding = self.analyzer.attribute_span(asked.labels.name, found, weights, extracted)
        return Prediction(example_id=example.id, system=self.name, answer=finding.cause or NOTHING, findings=(finding,))

    def _windows(self, example: Example, extracted: Extracted) -> list[Window]:
        """What shows an example: votes read change from one frame to the next, so a long one is cut as for training."""
        config = self.analyzer.window
        cut: Sequence[Span] = ()
        if self.run.model.votes is not None and example.end_s - example.start_s > config.frames / config.rate_hz:
            cut = tuple(tiles(example.start_s, min(example.end_s, extracted.end_s), config.window_s))
        found = [self.analyzer.cache.window(extracted, span, config) for span in cut[:: len(cut) // MOST_WINDOWS + 1]]
        return [window for window in found if window is not None] or [self._window(example, extracted)]

    def _window(self, example: Example, extracted: Extracted) -> Window:
        span = _span(example)
        window = self.analyzer.cache.window(extracted, span, self.analyzer.window)
        if window is None:
            raise InputError(
                f"{example.id}: {span.start_s:g}-{span.end_s:g} s lies outside {example.video} "
                f"({extracted.info.duration_s:.1f} s). Prepare the examples again from this footage."
            )
        return window


def _span(example: Example) -> Span:
    return Span(start_s=example.start_s, end_s=example.end_s)
