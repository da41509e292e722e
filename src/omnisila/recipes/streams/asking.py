"""What a Video-LLM adds to the features of a data set's clips: its pooled tokens, and the texts that it writes.

Source: emotional-reaction paper 4.2, 4.3.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from omnisila.data.annotated import AnnotatedVideo
from omnisila.inference.describing import TEXT_STREAMS, Prompt
from omnisila.inference.frozen_backbone import frozen_backbone
from omnisila.inference.inputs import Failure
from omnisila.models.reaction_sources import DescribedSource, PooledSource, read_sources, write_sources
from omnisila.recipes.streams.clip_lists import Say, nothing_read, write_clip_list
from omnisila.recipes.streams.tables import pooled_streams
from omnisila.recipes.streams.texts import description_stream, descriptions
from omnisila.scenes.reaction.clip import FRAMES
from omnisila.scenes.reaction.config import ReactionFeatureConfig
from omnisila.scenes.reaction.text import SentenceEncoder
from omnisila.weights.checkpoint_files import located


def pooled_features(
    source: PooledSource, videos: Sequence[AnnotatedVideo], footage: Path, out: Path, say: Say = lambda _: None
) -> tuple[Failure, ...]:
    """Tables ``pooled-1`` and ``pooled-2`` for the probing rows; ``failed-pooled.csv`` names what cannot be read.

    Args:
        source: the Video-LLM, and how its tokens are pooled.
        videos: the clips.
        footage: the folder that they are in.
        out: folder of the tables.
        say: told what happens.

    Returns:
        The clips that could not be read, with reasons.

    Raises:
        DataSetError: not one clip could be read.
        WeightsError: the Video-LLM is not there, or damaged.
        OutputError: a file cannot be written.
    """
    llm, sight = frozen_backbone(source.backbone, source.frames)
    failed = pooled_streams(source.backbone, llm, sight, videos, footage, out, source.pooling, say)
    write_clip_list(out / "failed-pooled.csv", "reason", failed)
    write_sources(out, read_sources(out).replace(pooled=source))
    return failed


def described_features(
    source: DescribedSource,
    prompt: Prompt,
    videos: Sequence[AnnotatedVideo],
    footage: Path,
    out: Path,
    say: Say = lambda _: None,
) -> tuple[Failure, ...]:
    """A table of texts: ``text-video-llava-1``, ``text-video-llava-2``, or ``text-llava`` of single frames.

    Beside it stand ``descriptions-<prompt>.jsonl`` and ``failed-descriptions-<prompt>.csv``.

    Args:
        source: the Video-LLM, and the encoder of what it writes.
        prompt: the paper's prompt of the clip, or ``frames`` for each frame alone.
        videos: the clips.
        footage: the folder that they are in.
        out: folder of the tables.
        say: told what happens.

    Returns:
        The clips that could not be read, or of which nothing was said, with reasons; the latter are masked.

    Raises:
        DataSetError: not one clip is described, or the texts that stand there are another Video-LLM's.
        WeightsError: the Video-LLM or the encoder is not there, or damaged.
        OutputError: a file cannot be written.
    """
    known = read_sources(out)
    frames = known.features.frames if known.features else FRAMES
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encoder = SentenceEncoder.pretrained(located(source.sentences), device)
    llm, sight = frozen_backbone(source.backbone, source.frames, device)
    said = out / f"descriptions-{prompt}.jsonl"
    system = f"{source.backbone}, {source.frames} frames"
    failed = descriptions(system, llm, sight, videos, footage, prompt, said, frames, say)
    if len(failed) == len(videos):
        raise nothing_read(footage, len(videos), failed[0].reason if failed else None)
    silent = description_stream(said, videos, encoder, out / f"{TEXT_STREAMS[prompt]}.safetensors", frames)
    failed = (*failed, *(Failure(clip, f"clip {clip}: the Video-LLM wrote nothing of it") for clip in silent))
    write_clip_list(out / f"failed-descriptions-{prompt}.csv", "reason", failed)
    made = ReactionFeatureConfig(text="descriptions", sentences=source.sentences).networks["text"]
    stream = TEXT_STREAMS[prompt]
    kept = {"described": {**known.described, stream: source}, "networks": {**known.networks, stream: made}}
    write_sources(out, known.replace(**kept))
    return failed
