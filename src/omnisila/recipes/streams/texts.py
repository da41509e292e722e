"""Texts of clips that a Video-LLM writes, and the streams of features made of them.

Each clip is asked about once and its text kept at once, so that a killed run goes on where it stood. Source:
emotional-reaction paper 4.3.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from omnisila.config import Frozen
from omnisila.data.annotated import AnnotatedVideo
from omnisila.errors import DataSetError
from omnisila.inference.describing import Prompt, written_text
from omnisila.inference.inputs import Failure
from omnisila.inference.querying import Sight
from omnisila.media.video import probe
from omnisila.models.video_llm import VideoLLM
from omnisila.recipes.streams.clip_lists import Say, each_clip
from omnisila.records import append, cut_half_line, records
from omnisila.scenes.reaction.clip import FRAMES, Modality
from omnisila.scenes.reaction.text import OF_DESCRIPTIONS, SentenceEncoder, described
from omnisila.training.reaction_tables import write_stream


class Description(Frozen):
    """One line of ``descriptions-<prompt>.jsonl``: what a Video-LLM wrote of a clip, or of each of its frames."""

    clip: str
    system: str
    text: str | tuple[str, ...]


def descriptions(
    system: str,
    llm: VideoLLM,
    sight: Sight,
    videos: Sequence[AnnotatedVideo],
    footage: Path,
    prompt: Prompt,
    out: Path,
    frames: int = FRAMES,
    say: Say = lambda _: None,
) -> tuple[Failure, ...]:
    """What a Video-LLM writes of each clip, or of each frame: ViPER's text. Source: emotional-reaction paper 4.3.

    Args:
        system: the Video-LLM's name.
        frames: how many are described where each is.
        out: a ``Description`` a line; those that stand there are not asked for again.

    Returns:
        The clips that could not be read, with reasons.

    Raises:
        DataSetError: ``out`` holds another system's descriptions.
    """
    cut_half_line(out)
    before = list(records(out, Description)) if out.exists() else []
    if any(one.system != system for one in before):
        raise DataSetError(
            f"{out}: holds descriptions by {before[0].system}, not by {system}. Give another folder, or delete it."
        )
    done = {one.clip for one in before}

    def describe(video: AnnotatedVideo) -> None:
        path = footage / video.video
        span_s = (0.0, probe(path).duration_s)
        text = written_text(llm, sight, path, span_s, prompt, frames)
        append(out, [Description(clip=video.id, system=system, text=text)])

    return each_clip([video for video in videos if video.id not in done], describe, say)


def description_stream(
    descriptions: Path, videos: Sequence[AnnotatedVideo], encoder: SentenceEncoder, out: Path, frames: int = FRAMES
) -> tuple[str, ...]:
    """The table of a stream of text: each description as the encoder's vector, on every frame or on its own.

    Args:
        descriptions: as ``descriptions`` writes them.
        videos: the clips that count.
        out: the table.
        frames: of a clip.

    Returns:
        Clips of which nothing was said; they are masked.

    Raises:
        DataSetError: not one clip is described.
        InputError: descriptions of another number of frames.
    """
    wanted = {video.id for video in videos}
    silent: list[str] = []

    def clips() -> Iterator[tuple[str, Modality]]:
        for one in records(descriptions, Description):
            if one.clip in wanted:
                texts = (one.text,) if isinstance(one.text, str) else one.text
                if any(text.strip() for text in texts):
                    yield one.clip, described(encoder, one.text, frames, one.clip)
                else:
                    silent.append(one.clip)
                    yield one.clip, Modality.absent(frames, encoder.width)

    write_stream(out, clips(), OF_DESCRIPTIONS)
    return tuple(silent)
