"""Attribution writing in two passes: four scene aspects of a span are described, then summed up as one cause.

Every question and raw answer is stored with the model that gave it, so that a cause can be traced and checked by people
(``data/causes/checking.py``). Source: Omni-SILA 4.1, the construction of the explicit data set; prompts are our own.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from omnisila import records
from omnisila.config import Frozen
from omnisila.data.annotated import AnnotatedSet
from omnisila.data.instructions import NOTHING, clauses_of
from omnisila.endpoint import Endpoint, EndpointConfig, Estimate
from omnisila.errors import InputError, MediaError, OmnisilaError
from omnisila.media.clips import jpeg
from omnisila.media.sampling import frames_at, uniform_times
from omnisila.media.video import probe
from omnisila.scene_registry import SCENES
from omnisila.schema import SceneName, Seconds, Span, Truth

PICTURES = 8  # of each span, at the centres of equal parts of it; Omni-SILA 4.1
LONG_SIDE_PX, JPEG_QUALITY = 512, 85  # of the pictures sent
TOKENS_PER_PICTURE, TOKENS_PER_ANSWER = 255, 60  # counted in estimates; models differ, see the endpoint's price list


class UncausedSpan(Frozen):
    """An annotated span that wants a cause; ``id`` is made of video, times and label, so it survives reordering."""

    id: str
    video: str
    labels: str
    span: Span
    label: str


class Exchange(Frozen):
    """One question with everything needed to ask it again, and the answer as it came."""

    prompt: str
    pictures: int
    answer: str
    model: str
    prompt_tokens: int | None
    completion_tokens: int | None


class WrittenCause(UncausedSpan):
    """One line of the annotator's output: the cause (None: nothing was seen that bears on the label) and its making."""

    cause: str | None
    frame_times_s: tuple[Seconds, ...]
    base_url: str
    aspects: dict[SceneName, Exchange]
    summary: Exchange


class Unwritten(NamedTuple):
    """A span that stays without a cause this time, and why."""

    id: str
    reason: str


class Annotator:
    """Writes causes for spans, one line each, and goes on where it was stopped."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    def run(self, spans: Sequence[UncausedSpan], footage: Path, out: Path) -> Iterator[WrittenCause | Unwritten]:
        """Add a line to ``out`` for each span that has none yet, and tell of each as it is done.

        A span that fails leaves no line, so that the next run tries it again. A line is added when all five answers
        are there; one that a kill left half-written is taken off first.

        Raises:
            InputError: the endpoint's address, key or model is wrong; what was written before stays.
            OutputError: ``out`` cannot be written.
            RecordError: ``out`` holds a line that no annotator wrote.
        """
        done = read_done(out)
        for span in spans:
            if span.id in done:
                continue
            try:
                times_s, pictures = self._pictures(span, footage)
            except MediaError as error:
                yield Unwritten(span.id, str(error))
                continue
            try:
                written = self._write_cause(span, times_s, pictures)
            except InputError:
                raise
            except OmnisilaError as error:
                yield Unwritten(span.id, str(error))
                continue
            records.append(out, [written])
            yield written

    def _pictures(self, span: UncausedSpan, footage: Path) -> tuple[tuple[float, ...], list[bytes]]:
        start_s, path = span.span.start_s, footage / span.video
        end_s = min(span.span.end_s, probe(path).duration_s)  # as prepare cuts it
        if end_s <= start_s:
            raise MediaError(
                f"{path}: it ends at {end_s:g} s, before the span at {start_s:g} s. Correct the annotation."
            )
        times_s = uniform_times(start_s, end_s, PICTURES)
        frames = frames_at(path, times_s, long_side_px=LONG_SIDE_PX)
        return times_s, [jpeg(frame.image, quality=JPEG_QUALITY) for frame in frames]

    def _write_cause(self, span: UncausedSpan, times_s: tuple[float, ...], pictures: list[bytes]) -> WrittenCause:
        prompts = [aspect_prompt(scene, span.label, span.span, len(pictures)) for scene in SCENES]
        with ThreadPoolExecutor(len(SCENES)) as pool:
            answers = list(pool.map(lambda prompt: self._ask(prompt, pictures), prompts))
        aspects = dict(zip(SCENES, answers, strict=True))
        summary = self._ask(summary_prompt(span.label, {scene: aspect.answer for scene, aspect in aspects.items()}), [])
        return WrittenCause(
            **dict(span),
            cause="; ".join(clauses_of(summary.answer)) or None,
            frame_times_s=times_s,
            base_url=self.endpoint.config.base_url,
            aspects=aspects,
            summary=summary,
        )

    def _ask(self, prompt: str, pictures: list[bytes]) -> Exchange:
        reply = self.endpoint.ask(prompt, pictures)
        return Exchange(
            prompt=prompt,
            pictures=len(pictures),
            answer=reply.text,
            model=reply.model,
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=reply.completion_tokens,
        )


def aspect_prompt(scene: SceneName, label: str, span: Span, pictures: int) -> str:
    """Pass 1: what one aspect of the pictures contributes to the label."""
    return (
        f"These {pictures} pictures were taken in order, evenly spread over {span.duration_s:.3g} seconds of a video. "
        f'People labelled this stretch "{label}".\n'
        f"Look only at {SCENES[scene].aspect}.\n"
        f'In at most two short sentences, say what of it speaks for "{label}". Name only what the pictures show; do '
        "not guess at intentions, sounds or what happened before, and do not say who anybody is. "
        f'If nothing of it can be seen or it has nothing to do with the label, answer with the word "{NOTHING}" alone.'
    )


def summary_prompt(label: str, seen: Mapping[SceneName, str]) -> str:
    """Pass 2: the cause as short clauses, from the four answers alone."""
    told = "\n".join(f"- {scene}: {' '.join(text.split())}" for scene, text in seen.items())
    return (
        f'A stretch of a video is labelled "{label}". Four observers each looked at one aspect of it:\n{told}\n'
        f'Why does the video show "{label}"? Join what they saw into one to four short clauses, the most telling '
        'first, on one line, with "; " between them and no other text. Leave out what does not bear on the label, add '
        f"nothing that no observer saw, and where they contradict each other keep what is more concrete. "
        f'If they saw nothing that bears on it, answer with the word "{NOTHING}" alone.'
    )


def uncaused_spans(annotated: AnnotatedSet) -> tuple[UncausedSpan, ...]:
    """The spans without a cause, in the set's order; one that is annotated twice alike stands once.

    Videos whose times are unknown have no span and give none.
    """
    spans = (
        UncausedSpan(
            id=span_id(annotated.name, video.id, truth),
            video=video.path,
            labels=video.label_set,
            span=truth.span,
            label=truth.label,
        )
        for video in annotated.videos
        for truth in video.truth or ()
        if truth.cause is None
    )
    return tuple({span.id: span for span in spans}.values())


def span_id(set_name: str, video_id: str, truth: Truth) -> str:
    """The name of an annotated span: ``tsl300/abc#8000-14500-negative``, times in milliseconds."""
    start_ms, end_ms = round(truth.span.start_s * 1000), round(truth.span.end_s * 1000)
    return f"{set_name}/{video_id}#{start_ms}-{end_ms}-{truth.label}"


def read_done(out: Path) -> frozenset[str]:
    """The spans that a file has a line for; what a kill left of a last line is taken off, a missing file has none.

    Raises:
        OutputError: the half line cannot be taken off.
        RecordError: a line is not of this kind.
    """
    records.cut_half_line(out)
    return frozenset(cause.id for cause in read_causes(out)) if out.exists() else frozenset()


def read_causes(path: Path) -> Iterator[WrittenCause]:
    """The lines of an annotator's output.

    Raises:
        RecordError: the file cannot be read, or a line is not of this kind.
    """
    return records.records(path, WrittenCause)


def estimate_run(left: Sequence[UncausedSpan], endpoint: EndpointConfig) -> Estimate:
    """What annotating the spans will take; nothing is asked. Four letters count as a token."""
    answer = "x" * (4 * TOKENS_PER_ANSWER)
    prompt_letters = sum(
        sum(len(aspect_prompt(scene, span.label, span.span, PICTURES)) for scene in SCENES)
        + len(summary_prompt(span.label, dict.fromkeys(SCENES, answer)))
        for span in left
    )
    pictures = len(left) * len(SCENES) * PICTURES
    requests = len(left) * (len(SCENES) + 1)
    prompt_tokens = prompt_letters // 4 + pictures * TOKENS_PER_PICTURE
    return endpoint.estimate(requests, prompt_tokens, requests * TOKENS_PER_ANSWER, pictures)
