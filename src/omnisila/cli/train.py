"""``omnisila train``: a model from data sets, in one command that can be killed and repeated."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from omnisila.cli import train_compact_reaction, train_reaction

if TYPE_CHECKING:
    from omnisila.recipes.full_training import FullTraining

app = typer.Typer(no_args_is_help=True, help="Train a model.")
app.command("reaction")(train_reaction.reaction)
app.command("compact-reaction")(train_compact_reaction.compact_reaction)


def _print_rows(wanted: bool) -> None:
    if wanted:
        from omnisila.recipes.icm_full import ROWS

        _list(ROWS)


def _print_hawkeye_rows(wanted: bool) -> None:
    if wanted:
        from omnisila.recipes.hawkeye_full import ROWS

        _list(ROWS)


def _list(rows: Mapping[str, Callable[[], Any]]) -> None:
    for name, row in rows.items():
        typer.echo(f"{name}: {row().name}")
    raise typer.Exit


Data = Annotated[Path | None, typer.Option(help="Data root with one folder a set. Default: $OMNISILA_DATA.")]
RunFolder = Annotated[Path, typer.Option(help="Run folder: the model, and the state to resume from.")]
Features = Annotated[Path | None, typer.Option(help="Feature store. Default: <out>/../features.")]
Copies = Annotated[int, typer.Option(help="Pixel-augmented copies of every clip, 0 to 3.", min=0, max=3)]
Folds = Annotated[
    bool, typer.Option("--folds", help="Also measure on folds by source, with all ablations (about an hour).")
]
Workers = Annotated[int, typer.Option(help="Processes of one thread each.", min=1)]
Partial = Annotated[
    bool,
    typer.Option("--partial", help="Train on the data sets that are there, without the labels that the others teach."),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print errors only.")]


@app.command()
def compact(
    data: Data = None,
    out: RunFolder = Path("runs/compact"),
    features: Features = None,
    copies: Copies = 0,
    folds: Folds = False,
    workers: Workers = 2,
    partial: Partial = False,
    quiet: Quiet = False,
) -> None:
    """Train the compact ICM on the data sets under the data root; run it again to go on after a kill."""
    from omnisila.recipes import icm
    from omnisila.recipes.shipping import ablations, train_compact

    root, say = _data_root(data), _teller(quiet)
    store = features or out.parent / "features"
    recipe, ablated = icm.compact(), ablations()
    train_compact(
        recipe, ablated, root, out, store, copies=copies, with_folds=folds, workers=workers, say=say, partial=partial
    )


@app.command("compact-hawkeye")
def compact_hawkeye(
    data: Data = None,
    out: RunFolder = Path("runs/compact-hawkeye"),
    features: Features = None,
    copies: Copies = 0,
    folds: Folds = False,
    workers: Workers = 2,
    beside: Annotated[
        Path | None, typer.Option(help="Run folder of train compact --folds that the card compares with.")
    ] = None,
    partial: Partial = False,
    quiet: Quiet = False,
) -> None:
    """Train the compact Hawkeye on the same footage as the compact ICM, for the anomaly label set."""
    from omnisila.recipes import hawkeye
    from omnisila.recipes.shipping import train_compact

    root, say = _data_root(data), _teller(quiet)
    store = features or out.parent / "features"
    recipe, ablated = hawkeye.compact_hawkeye(), hawkeye.ablations()
    train_compact(
        recipe, ablated, root, out, store, copies=copies, with_folds=folds, workers=workers, say=say, beside=beside,
        partial=partial,
    )  # fmt: skip


def _data_root(data: Path | None) -> Path:
    from omnisila.errors import InputError

    root = data or (Path(os.environ["OMNISILA_DATA"]) if "OMNISILA_DATA" in os.environ else None)
    if root is None:
        raise InputError("no data root. Set OMNISILA_DATA or give --data FOLDER with one folder a data set.")
    return root


def _teller(quiet: bool) -> Callable[[str], None] | None:
    return None if quiet else lambda line: typer.echo(line, err=True)


Examples = Annotated[Path, typer.Argument(metavar="EXAMPLES", help="examples.jsonl of the task's data sets.")]
Footage = Annotated[Path, typer.Option(help="Folder that the examples' videos are in.")]
Out = Annotated[Path, typer.Option(help="Run folder: the model, and the states to resume from.")]
Scenes = Annotated[
    Path | None, typer.Option(help="examples.jsonl for scene tuning, as prepare scene-tuning writes it.")
]
SceneFootage = Annotated[Path | None, typer.Option(help="Folder of its videos and pictures.")]
Recipe = Annotated[
    str, typer.Option(help="A row of the papers' tables (see --rows), or a JSON file with the fields to change.")
]
VideoLLM = Annotated[str | None, typer.Option(help="Folder or hub id of the Video-LLM. Default: Video-LLaVA-7B.")]
Extractors = Annotated[
    str | None, typer.Option(help="full (the paper's networks) or embedded. Default: as the recipe says.")
]
Until = Annotated[str, typer.Option(help="scene: stop after scene tuning; task: to the end.")]


@app.command()
def icm(
    examples: Examples,
    footage: Footage,
    out: Out,
    scenes: Scenes = None,
    scene_footage: SceneFootage = None,
    recipe: Recipe = "full",
    backbone: VideoLLM = None,
    extractors: Extractors = None,
    until: Until = "task",
    rows: Annotated[
        bool, typer.Option("--rows", is_eager=True, callback=_print_rows, help="List the recipes and stop.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Train the ICM in front of a pretrained Video-LLM: scene tuning, dictionary, task tuning.

    Run it again to go on after a kill. Several GPUs: torchrun --nproc-per-node N -m omnisila train icm ...
    """
    del rows  # handled by its callback
    from omnisila.recipes.choosing import chosen_recipe
    from omnisila.recipes.icm_full import ROWS

    wanted = chosen_recipe(ROWS, recipe, backbone, extractors)
    _train_full(wanted, examples, footage, out, scenes, scene_footage, until, quiet)


@app.command()
def hawkeye(
    examples: Examples,
    footage: Footage,
    out: Out,
    scenes: Scenes = None,
    scene_footage: SceneFootage = None,
    recipe: Recipe = "full",
    backbone: VideoLLM = None,
    extractors: Extractors = None,
    until: Until = "task",
    rows: Annotated[
        bool, typer.Option("--rows", is_eager=True, callback=_print_hawkeye_rows, help="List the recipes and stop.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Train Hawkeye, as published or as released, in front of a pretrained Video-LLM: pre-tuning, IasDig tuning.

    Pre-tuning reads the descriptions of actions and regions (HumanML3D, RefCOCO) in --scenes; EXAMPLES are those of
    S-S and S-D. Run it again to go on after a kill; several GPUs as for train icm.
    """
    del rows  # handled by its callback
    from omnisila.recipes.choosing import chosen_recipe
    from omnisila.recipes.hawkeye_full import ROWS

    wanted = chosen_recipe(ROWS, recipe, backbone, extractors)
    _train_full(wanted, examples, footage, out, scenes, scene_footage, until, quiet)


def _train_full(
    recipe: "FullTraining",
    examples: Path,
    footage: Path,
    out: Path,
    scenes: Path | None,
    scene_footage: Path | None,
    until: str,
    quiet: bool,
) -> None:
    from omnisila.errors import InputError
    from omnisila.recipes.full_training import Questions, Trainer
    from omnisila.scenes.cache import FeatureCache
    from omnisila.training.parallel import processes

    if until not in ("scene", "task"):
        raise InputError(f"--until {until!r}. Choose scene or task.")
    described = Questions(scenes, scene_footage or footage) if scenes is not None else None
    with processes() as parallel:
        trainer = Trainer(recipe, out, FeatureCache(), parallel, _teller(quiet) or (lambda _: None))
        trainer.trained(described, Questions(examples, footage), until)
