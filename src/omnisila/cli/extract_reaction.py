"""``omnisila extract-reaction``: the tables of features that ``omnisila train reaction`` reads, from a set's clips."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from omnisila.cli.arguments import Quiet, folder_argument, folder_option
from omnisila.cli.telling import tell, teller
from omnisila.errors import InputError, check_known, unknown
from omnisila.recipes.fields import check_fields, read_fields
from omnisila.scene_registry import MODALITIES

if TYPE_CHECKING:  # importing it takes seconds, and --help needs it not
    from omnisila.data.annotated import AnnotatedVideo

_NETWORKS = ("embedded", "paper")
_SHOWN = 10  # failed clips told one by one; all are in the file

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Features of emotional reactions: one table a stream, from the clips of Hume-Reaction.\n\n"
    "frames makes visual, audio, fau, face and (with CLIP and RoBERTa) text-clip. pooled makes pooled-1 and pooled-2, "
    "which the probing rows read. descriptions makes text-video-llava-1, text-video-llava-2 or text-llava.",
)

Data = Annotated[Path, folder_argument("FOLDER", "Hume-Reaction's labels, in either layout.")]
Footage = Annotated[Path, folder_option("Folder of the clips, <id>.mp4.")]
Out = Annotated[Path, typer.Option(help="Folder of the tables; run again to resume.")]
Backbone = Annotated[str, typer.Option(help="Folder or hub id of a Video-LLM.")]
Shown = Annotated[int, typer.Option("--shown", help="Frames of a clip that the Video-LLM is shown.", min=1)]


@app.command()
def frames(
    data: Data,
    footage: Footage,
    out: Out,
    networks: Annotated[
        str,
        typer.Option(
            help="embedded (nothing else is needed), paper (ViT, WavLM, CLIP and RoBERTa from the hub), or a JSON file "
            'such as {"visual": FOLDER, "audio": FOLDER, "text": "templates", "clip": FOLDER, "sentences": FOLDER}.'
        ),
    ] = "embedded",
    face: Annotated[
        str | None, typer.Option(help="ResNet trained on faces (VGGFace2) for the stream face: folder or hub id.")
    ] = None,
    tables: Annotated[
        list[str] | None,
        typer.Option(
            help="What another program measured, as MODALITY=FOLDER with <id>.csv a clip, of py-feat or MuSe: "
            "fau=FOLDER gives facial action units. May be given several times."
        ),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes; with several each has one thread.", min=1)] = 1,
    quiet: Quiet = False,
) -> None:
    """Streams of 32 frames: visual, audio, fau, face; text-clip where CLIP and RoBERTa choose from templates.

    Without tables of action units the stream fau holds seven expressions and the face's geometry, and says so.

    Exit status: 0 all extracted, 1 some clips failed (each named), 2 wrong usage.
    """
    say, videos = teller(quiet), _videos(data)
    beside = dict(_named_folder(text) for text in tables or ())
    if networks not in _NETWORKS:
        if not Path(networks).is_file():
            raise InputError(f"{unknown('profile', networks, _NETWORKS).rstrip('.')}; or give a JSON file.")
        check_fields("ReactionFeatureConfig", read_fields(Path(networks), "networks"), Path(networks))
    _check(out, *([face] if face else []))

    from omnisila.recipes.streams.frames import FAILED, NOTES, Place, chosen_networks, frame_streams
    from omnisila.scenes.reaction.extracting import ReactionCache

    place, cache = Place(footage=footage, tables=beside, out=out), ReactionCache()
    if cache.warning:
        say(cache.warning)
    counted = frame_streams(chosen_networks(networks, face, beside), videos, place, cache, workers, say)
    done = counted.extracted + counted.known
    say(f"{out}: {done} clips, of which {counted.known} were there before")
    for modality, clips in counted.missing.items():
        say(f"  missing {modality}: {clips} of {done} clips")
    for warning, clips in sorted(counted.warned.items(), key=lambda pair: -pair[1]):
        say(f"  {warning}: {clips} of {done} clips")
    say(f"  clip by clip: {out / NOTES}")
    _end((reason for _, reason in counted.failed), out / FAILED)


@app.command()
def pooled(
    data: Data,
    footage: Footage,
    out: Out,
    backbone: Backbone,
    shown: Shown = 8,
    pooling: Annotated[
        Literal["sequence", "video", "answer"],
        typer.Option(help="sequence: the prompt and the clip; video: the clip alone; answer: what it says."),
    ] = "sequence",
    quiet: Quiet = False,
) -> None:
    """Streams pooled-1 and pooled-2: the mean token of a Video-LLM under the paper's two prompts.

    Exit status: 0 all extracted, 1 some clips failed (each named), 2 wrong usage.
    """
    videos = _videos(data)
    _check(out, backbone)

    from omnisila.models.reaction_sources import PooledSource
    from omnisila.recipes.streams.asked import pooled_features

    source = PooledSource(backbone=backbone, frames=shown, pooling=pooling)
    failed = pooled_features(source, videos, footage, out, teller(quiet))
    _end((failure.reason for failure in failed), out / "failed-pooled.csv")


@app.command()
def descriptions(
    data: Data,
    footage: Footage,
    out: Out,
    backbone: Backbone,
    prompt: Annotated[
        Literal["1", "2", "frames"],
        typer.Option(help="1 or 2: the paper's prompts of the clip; frames: each of the 32 frames alone."),
    ] = "2",
    sentences: Annotated[
        str, typer.Option(help="RoBERTa that reads the texts: folder or hub id.")
    ] = "FacebookAI/roberta-base",
    shown: Shown = 8,
    quiet: Quiet = False,
) -> None:
    """Stream text-video-llava-1, text-video-llava-2 or text-llava: what a Video-LLM writes, read by RoBERTa.

    The texts stand in descriptions-<prompt>.jsonl.

    Exit status: 0 all described, 1 some clips failed (each named), 2 wrong usage.
    """
    videos = _videos(data)
    _check(out, backbone)

    from omnisila.models.reaction_sources import DescribedSource
    from omnisila.recipes.streams.asked import described_features

    source = DescribedSource(backbone=backbone, frames=1 if prompt == "frames" else shown, sentences=sentences)
    failed = described_features(source, prompt, videos, footage, out, teller(quiet))
    _end((failure.reason for failure in failed), out / f"failed-descriptions-{prompt}.csv")


def _videos(data: Path) -> "tuple[AnnotatedVideo, ...]":
    from omnisila.data.sets import hume_reaction

    return hume_reaction.read(data).videos


def _check(out: Path, *sources: str) -> None:
    """Be sure of folders before torch is loaded."""
    from omnisila.files import check_writable
    from omnisila.weights.checkpoint_files import check_source, locate_source

    check_writable(out)
    for source in sources:
        check_source(locate_source(source))


def _named_folder(text: str) -> tuple[str, Path]:
    modality, equals, folder = text.partition("=")
    if not equals or not Path(folder).is_dir():
        raise InputError(f"--tables {text}: no such folder. Give MODALITY=FOLDER, such as fau=feats/faus.")
    check_known("modality", [modality], MODALITIES)
    return modality, Path(folder)


def _end(reasons: Iterable[str], file: Path) -> None:
    failed = list(reasons)
    for reason in failed[:_SHOWN]:
        tell(f"failed: {reason}", err=True)
    if failed:
        tell(f"{len(failed)} clips failed; all are in {file}", err=True)
        raise typer.Exit(1)
