"""The streams that reaction models read, made of a data set's clips: extractors' features, and a Video-LLM's own.

Each clip is done once and kept at once, so that a killed run goes on where it stood; a clip that cannot be read is
named, and costs no other.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import safetensors
from jaxtyping import Float
from safetensors.torch import save
from torch import Tensor

from omnisila.config import Frozen
from omnisila.data.annotated import AnnotatedVideo
from omnisila.errors import DataSetError, OmnisilaError
from omnisila.files import write_atomically
from omnisila.inference.inputs import Failure
from omnisila.inference.querying import Sight, described_clip, pooled_clip
from omnisila.media.video import probe
from omnisila.models.probing import PROMPTS, PooledLLM, Pooling
from omnisila.models.reaction import Stream
from omnisila.records import append, cut_half_line, records
from omnisila.training.reaction_tables import PooledStream, write_stream

Say = Callable[[str], None]
Clips = Callable[[], Iterable[tuple[str, Mapping[str, Stream]]]]


class Description(Frozen):
    """One line of ``descriptions-<prompt>.jsonl``: what a Video-LLM wrote of a clip. Source: reaction paper 4.3."""

    clip: str
    system: str
    text: str


def extracted_streams(folder: Path, streams: Mapping[str, str], kinds: Mapping[str, str], clips: Clips) -> None:
    """Tables of what extractors gave, one modality after the other, so that only one is held in memory.

    Args:
        folder: where the tables go.
        streams: modality -> the stream that its table is called by; text of each source has a name of its own.
        kinds: modality -> what its numbers are, as the extractor says.
        clips: called once a modality: ids with their modalities, from the extractors' cache.

    Raises:
        DataSetError: a clip twice, or features of different shapes.
        OutputError: a table cannot be written.
    """
    for modality, stream in streams.items():
        chosen = ((clip, found[modality]) for clip, found in clips())
        write_stream(folder / f"{stream}.safetensors", chosen, kinds[modality])


def pooled_streams(
    system: str,
    llm: PooledLLM,
    sight: Sight,
    videos: Sequence[AnnotatedVideo],
    footage: Path,
    folder: Path,
    pooling: Pooling = "sequence",
    say: Say = lambda _: None,
) -> tuple[Failure, ...]:
    """Tables ``pooled-1`` and ``pooled-2``: each clip's mean token under the paper's two prompts.

    Args:
        system: the Video-LLM's name; another name begins anew.
        llm: frozen.
        sight: through its own tower.
        videos: the clips.
        footage: the folder that they are in.
        folder: where the tables go; single clips are kept below ``parts/``.
        pooling: over which tokens.
        say: told what happens.

    Returns:
        The clips that could not be read, with reasons.

    Raises:
        DataSetError: not one clip could be read.
    """
    identity = hashlib.sha256(f"{system}/{sight.frames}/{pooling}".encode()).hexdigest()[:12]
    parts = {video.id: folder / "parts" / f"pooled-{identity}" / f"{video.id}.safetensors" for video in videos}

    def pool(video: AnnotatedVideo) -> None:
        if parts[video.id].exists():
            return
        path = footage / video.video
        span_s = (0.0, probe(path).duration_s)
        found = {
            str(number): pooled_clip(llm, sight, path, span_s, prompt, pooling)
            for number, prompt in enumerate(PROMPTS, 1)
        }
        write_atomically(parts[video.id], save(found))

    failed = _each(videos, pool, say)
    done = [video.id for video in videos if parts[video.id].exists()]
    if not done:
        reason = failed[0].reason if failed else "none is named"
        raise DataSetError(
            f"{footage}: none of {len(videos)} clips could be read ({reason}). Give the folder that the clips are in."
        )
    for number in range(1, len(PROMPTS) + 1):
        pooled = ((clip, PooledStream.of(_part(parts[clip], str(number)))) for clip in done)
        write_stream(folder / f"pooled-{number}.safetensors", pooled, f"{system}, {sight.frames} frames, {pooling}")
    return failed


def descriptions(
    system: str,
    llm: PooledLLM,
    sight: Sight,
    videos: Sequence[AnnotatedVideo],
    footage: Path,
    prompt: int,
    out: Path,
    say: Say = lambda _: None,
) -> tuple[Failure, ...]:
    """What a Video-LLM writes of each clip under the paper's prompt 1 or 2: ViPER's text. Source: reaction paper 4.3.

    Args:
        system: the Video-LLM's name.
        out: a ``Description`` a line; those that stand there are not asked for again.

    Returns:
        The clips that could not be read, with reasons.

    Raises:
        DataSetError: ``out`` holds another system's descriptions.
    """
    cut_half_line(out)
    before = list(records(out, Description)) if out.exists() else []
    if any(one.system != system for one in before):
        raise DataSetError(f"{out}: holds descriptions by {before[0].system}, not by {system}. Give another file.")
    done = {one.clip for one in before}

    def describe(video: AnnotatedVideo) -> None:
        path = footage / video.video
        text = described_clip(llm, sight, path, (0.0, probe(path).duration_s), PROMPTS[prompt - 1])
        append(out, [Description(clip=video.id, system=system, text=text)])

    return _each([video for video in videos if video.id not in done], describe, say)


def _each(videos: Sequence[AnnotatedVideo], work: Callable[[AnnotatedVideo], None], say: Say) -> tuple[Failure, ...]:
    failed: list[Failure] = []
    for number, video in enumerate(videos, 1):
        try:
            work(video)
        except OmnisilaError as error:
            failed.append(Failure(video.id, str(error)))
            say(f"{number}/{len(videos)}: {error}")
        else:
            say(f"{number}/{len(videos)}: {video.id}")
    return tuple(failed)


def _part(path: Path, number: str) -> Float[Tensor, "width"]:
    try:
        with safetensors.safe_open(path, "pt") as file:
            return file.get_tensor(number).float()
    except (OSError, safetensors.SafetensorError) as error:
        raise DataSetError(f"{path}: damaged ({error}). Delete it and run again.") from error
