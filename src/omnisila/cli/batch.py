"""``omnisila batch``: ``analyze`` for any number of videos, from and to any storage, on one machine or many."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from omnisila.cli.arguments import BlurFaces, Model, Quiet, split_names
from omnisila.cli.option_groups import AnalysisOptions, with_groups
from omnisila.cli.telling import tell, teller
from omnisila.report.exports import formats as export_formats

if TYPE_CHECKING:
    from omnisila.batches.listing import Source
    from omnisila.inference.settings import AnalyzerConfig


@with_groups
def batch(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Videos, pictures, folders or globs, also s3://, gs:// and hf://; @FILE has one a line.",
        ),
    ],
    out: Annotated[str, typer.Option(help="Folder of the results, here or in a storage such as s3://bucket/results.")],
    model: Model = "compact",
    formats: Annotated[
        str,
        typer.Option("--format", help=f"Comma-separated: html, {', '.join(export_formats())}. json is always written."),
    ] = "json",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes, each with the model [one a GPU, else one a core].")
    ] = None,
    gpus: Annotated[int, typer.Option(min=0, help="GPUs that the processes share out among them.")] = 0,
    tries: Annotated[int, typer.Option(min=1, help="An input that ended its process so often is set aside.")] = 3,
    limit: Annotated[float, typer.Option(min=1, help="Seconds after which a process at one input is killed.")] = 43_200,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try inputs again that failed in an earlier run.")
    ] = False,
    engine: Annotated[
        Literal["ray", "pool"] | None,
        typer.Option(help="Ray Data, or processes of this machine [ray where it is installed]."),
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="A cluster of Ray, such as ray://head:10001 [one on this machine alone].")
    ] = None,
    features: Annotated[
        Path | None, typer.Option(help="Keep scene features in this folder [taken away with each input].")
    ] = None,
    *,
    options: AnalysisOptions,
    blur_faces: BlurFaces = False,
    quiet: Quiet = False,
) -> None:
    """Analyse any number of videos: each has exactly one end in OUT/ledger.jsonl, however often this is run.

    Arguments and lines of a list that name nothing on this machine have no end: they are told on standard error.
    OUT/index.html shows how far it is and what was found, also meanwhile. A run that was stopped goes on where it
    stood. Exit status: 0 all analysed, 1 some failed (each in the ledger with its reason), 2 wrong usage.
    """
    from omnisila.batches.listing import list_sources
    from omnisila.batches.storage import Storage
    from omnisila.inference.run_folders import plan_answering
    from omnisila.report.exports import output_suffixes, wanted_formats

    if engine == "pool" and address is not None:
        raise typer.BadParameter("a cluster needs --engine ray; the pool is of this machine", param_hint="--address")
    options.check_estimate(model)
    settings = options.settings()
    sources, wanted = list_sources(inputs), wanted_formats(split_names([formats]))
    plan_answering(model, settings)

    from omnisila.batches.engines import Limits, ProcessPool, RayData
    from omnisila.batches.ledger import WHOLE, Ledger
    from omnisila.batches.running import run_batch
    from omnisila.batches.task import Task, prepare

    say = teller(quiet)
    if (pace := settings.requests.requests_per_minute) is not None:  # of all processes together
        workers = max(min(workers or os.cpu_count() or 1, len(sources.files)), 1)
        settings = settings.replace(requests=settings.requests.replace(requests_per_minute=pace / workers))
    task = Task(
        model=model,
        settings=settings,
        label_files=split_names(options.labels or ()),
        formats=wanted,
        blur_faces=blur_faces,
        out=out,
        features=features,
    )
    storage, limits = Storage(out), Limits(workers, gpus, tries, limit)
    identity = task.identity()
    if options.estimate:
        _tell_estimate(model, settings, sources.files)
        return
    Ledger(storage).bind(identity)
    for note in sources.notes:
        say(f"note: {note}")
    with_ray = engine == "ray" or (engine is None and (address is not None or _has_ray()))
    tally = run_batch(
        sources.files,
        storage,
        RayData(storage, limits, address) if with_ray else ProcessPool(storage, limits),
        prepare,
        (task,),
        tell=say,
        retry_failed=retry_failed,
        suffixes=output_suffixes(task.formats),
    )
    for failure in (*sources.failed, *tally.failed):
        tell(f"failed: {failure.reason}", err=True)
    say(f"{tally.line()}. Open {storage.url('index.html')}; every end is in {storage.url(WHOLE)}")
    if sources.failed or tally.states["failed"]:
        raise typer.Exit(1)


def _tell_estimate(model: str, settings: "AnalyzerConfig", sources: "Sequence[Source]") -> None:
    from omnisila.batches.remote import is_remote
    from omnisila.inference.lettered import describe_estimate
    from omnisila.inference.load import load

    near = [Path(source.address) for source in sources if not is_remote(source.address)]
    far = len(sources) - len(near)
    told = f"; {far} remote inputs are not counted, for their length is not known" if far else ""
    tell(f"{describe_estimate(load(model, settings), near)}{told}")


def _has_ray() -> bool:
    from importlib.util import find_spec

    return find_spec("ray") is not None
