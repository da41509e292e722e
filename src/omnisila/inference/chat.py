"""Questions about a whole video, one after another: its pictures and scenes are read once.

Source: Omni-SILA 4.1, whose instructions ask about a video of 8 frames (D1).
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import torch

from omnisila.data.instructions import Located, render_label, render_located
from omnisila.errors import InputError
from omnisila.inference.analyzer import Analyzer
from omnisila.inference.seeing import window_reader
from omnisila.inference.settings import AnalyzerConfig
from omnisila.inference.taught_questions import TaughtQuestions
from omnisila.models.checkpoint import Run
from omnisila.models.tokens import batch_prompts
from omnisila.scenes.cache import FeatureCache
from omnisila.scenes.extractor import Entities
from omnisila.scenes.profile import LoadedWhenNeeded
from omnisila.schema import Analysis, Span

ANSWER_TOKENS = 256


class Chat:
    """A conversation about one video; every turn reads only what is new since the last.

    Args:
        run: a model with a pretrained language model; others do not speak freely, see ``TaughtChat``.

    Raises:
        MediaError: it cannot be read as a video.
    """

    def __init__(self, run: Run, video: Path, cache: FeatureCache) -> None:
        self.model, self.llm = run.model, run.model.video_llm
        profile = run.record.sem.at_rate(run.record.window.rate_hz)
        extracted = cache.ensure_features(video, LoadedWhenNeeded(profile))
        whole = Span(start_s=0.0, end_s=max(extracted.info.duration_s, 1e-3))  # no span is empty
        window = cache.window(extracted, whole, run.record.window)
        if window is None:
            raise InputError(f"{video}: no picture of it was read. Analyse it to see why.")
        self.inputs = window_reader(run, video)([window])
        self._read = self.llm.empty_cache()
        self._ids: list[int] = []
        self._embeds = torch.empty(1, 0, self.llm.width)

    @torch.no_grad()
    def ask(self, question: str, max_tokens: int = ANSWER_TOKENS) -> str:
        """The likeliest answer, everything said before it in mind.

        Raises:
            InputError: the conversation is longer than the model reads.
        """
        self._hear(question, max_tokens)
        tokens = batch_prompts([self._ids], self.llm.pad_id)._replace(times_s=self.inputs.visual.times_s)
        made = self.llm.generate(self._embeds, tokens, max_tokens, 1, self._read)
        said, end = made.ids[0], self.llm.answer_ids("")[-1]
        self._add(said if said[-1] == end else (*said, end))
        return made.texts[0]

    def _hear(self, question: str, answer_tokens: int) -> None:
        scenes, visual = self.inputs[:2]
        ids = self.llm.turn_ids(question) if self._ids else self.model.prompts([question], scenes, visual)[0]
        length = len(self._ids) + len(ids) + answer_tokens
        if length > self.llm.max_tokens:
            raise InputError(
                f"a conversation of {length} tokens with the next answer, the model reads {self.llm.max_tokens}. Ask a "
                "shorter question, or begin anew."
            )
        if self._ids:
            self._add(ids)
            return
        self._embeds = self.model.read(scenes, visual, batch_prompts([ids], self.llm.pad_id)).embeds
        self._ids = ids

    def _add(self, ids: Sequence[int]) -> None:
        """Text goes on the sequence; it has no places for pictures."""
        visual = self.inputs.visual
        embeds = self.llm.embed(torch.tensor([list(ids)]), Entities(visual.values[:, :0], visual.mask[:, :0]))
        self._embeds = torch.cat([self._embeds, embeds.to(self._embeds)], dim=1)
        self._ids = [*self._ids, *ids]


class TaughtChat:
    """Questions to a model that was not pretrained: those that it was taught, answered from its analysis.

    Args:
        video: a video or still picture; it is analysed at the first question.

    Raises:
        MediaError: it cannot be read as a video.
    """

    def __init__(self, run: Run, video: Path, cache: FeatureCache) -> None:
        self.video = video
        self._analyzer = Analyzer(run, AnalyzerConfig(labels=tuple(run.record.labels)), cache)
        self.questions = TaughtQuestions(run.record.labels)

    def ask(self, question: str) -> str:
        """The answer that the analysis of the whole video gives.

        Raises:
            InputError: the model was not taught the question; the message lists those that it was taught.
        """
        asked = self.questions.instruction(question)
        labels = asked.labels
        assert labels is not None  # of all questions about events
        mine = [finding for finding in self._analysis.findings if finding.labels == labels.name]
        if asked.task == "locate":
            return render_located([Located(finding.label, finding.span) for finding in mine])
        best = max(
            (finding for finding in mine if asked.label in (None, finding.label)),
            key=lambda finding: finding.score,
            default=None,
        )
        if asked.task == "identify":
            return render_label(best.label if best is not None else str(labels.quiet))
        if best is None:
            return f"{asked.label} was not found."
        return best.cause or "Nothing that was seen explains it."

    @cached_property
    def _analysis(self) -> Analysis:
        return self._analyzer.analyze(self.video)
