"""A Video-LLM that is asked in the papers' words and answers in its own.

Source: Omni-SILA 3.5; emotional-reaction paper 4.1.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from omnisila.data.instructions import render_question
from omnisila.inference.asking import Asks, answers_in_order
from omnisila.inference.frozen_llm import ANSWER_TOKENS
from omnisila.inference.parsed_answers import parsed_answer
from omnisila.schema import Example, Prediction


class Querying:
    """A system that answers examples of every task by asking a Video-LLM about the example's stretch of the video.

    What the model says is kept. An answer that is not of the form that was asked for has ``parse_ok`` false; emotions
    for which it states no single score are absent from ``intensities`` and imputed where scores are made.

    Args:
        notice: what whoever uses it must be told.
    """

    def __init__(self, name: str, llm: Asks, max_tokens: int = ANSWER_TOKENS, notice: str = "") -> None:
        self.name, self.llm, self.max_tokens, self.notice = name, llm, max_tokens, notice

    def predictions(self, video: Path, examples: Sequence[Example]) -> Iterator[Prediction]:
        """One prediction an example.

        Raises:
            MediaError: the video cannot be read.
        """

        def answer(example: Example) -> Prediction:
            began, span_s = time.perf_counter(), (example.start_s, example.end_s)
            said = self.llm.ask(video, span_s, self.question(example), self.max_tokens)
            return parsed_answer(example, said, self.name).replace(seconds=time.perf_counter() - began)

        yield from answers_in_order(answer, examples, self.llm.parallel)

    @staticmethod
    def question(example: Example) -> str:
        """What is asked: the example's instruction, with the form of the answer where one is wanted."""
        return render_question(example.task, example.instruction, example.labels)
