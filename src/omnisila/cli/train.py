"""``omnisila train``: a model from data sets, in one command that can be killed and repeated."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer

from omnisila.cli import distil, train_reaction
from omnisila.cli.arguments import Footage, Quiet, file_argument, file_option, folder_option
from omnisila.cli.telling import tell, teller
from omnisila.recipes.rows.table import BASELINES, HAWKEYE, ICM, Row, check_stages, recipe_choice

app = typer.Typer(no_args_is_help=True, help="Train a model.")
app.command("reaction")(train_reaction.reaction)
app.command("distil")(distil.distil)


def _rows_printer(rows: Mapping[str, Row]) -> Callable[[bool], None]:
    def print_rows(wanted: bool) -> None:
        if wanted:
            for name, row in rows.items():
                tell(f"{name}: {row.title}")
            raise typer.Exit

    return print_rows


Data = Annotated[Path | None, folder_option("Data root with one folder a set [$OMNISILA_DATA].")]
RunFolder = Annotated[Path, typer.Option(help="Run folder: the model, and the state to resume from.")]
Features = Annotated[Path | None, typer.Option(help="Feature store. Default: <out>/../features.")]
Copies = Annotated[int, typer.Option(help="Pixel-augmented copies of every clip, 0 to 3.", min=0, max=3)]
Folds = Annotated[
    bool, typer.Option("--folds", help="Also measure on folds by source, with all ablations (about 75 minutes).")
]
Workers = Annotated[int, typer.Option(help="Processes of one thread each.", min=1)]
Partial = Annotated[
    bool,
    typer.Option("--partial", help="Train on the data sets that are there, without the labels that the others teach."),
]


def _compact_command(model: Literal["compact", "compact-hawkeye"], about: str) -> None:
    def train_compact_model(
        data: Data = None,
        out: RunFolder = Path(f"runs/{model}"),
        features: Features = None,
        copies: Copies = 0,
        folds: Folds = False,
        workers: Workers = 2,
        partial: Partial = False,
        quiet: Quiet = False,
    ) -> None:
        root = _data_root(data, model, partial)

        from omnisila.recipes.rows import hawkeye, icm
        from omnisila.recipes.shipping.compact import train_compact

        recipe, ablations = {
            "compact": (icm.CompactICM(), icm.compact_ablations()),
            "compact-hawkeye": (hawkeye.CompactHawkeye(), hawkeye.compact_ablations()),
        }[model]
        store = features or out.parent / "features"
        train_compact(
            recipe, ablations, root, out, store, copies=copies, with_folds=folds, workers=workers, say=teller(quiet),
            partial=partial,
        )  # fmt: skip

    app.command(model, help=about)(train_compact_model)


_compact_command("compact", "Train the compact ICM on the data sets under the data root; run it again to resume.")
_compact_command(
    "compact-hawkeye", "Train the compact Hawkeye on the same footage as the compact ICM, for the anomaly label set."
)


def _data_root(data: Path | None, model: str, partial: bool) -> Path:
    """The folder of the data sets, in which those lie that teach what the embedded model was taught."""
    from omnisila.data.sets import read_footage, set_weights
    from omnisila.data.sets._footage import data_root
    from omnisila.inference.run_folders import model_folder
    from omnisila.models.run_files import run_summary

    root = data or data_root()
    if not partial:
        taught = set_weights(run_summary(model_folder(model)).labels)
        read_footage(root, sorted({name for weights in taught.values() for name in weights}))
    return root


Examples = Annotated[Path, file_argument("EXAMPLES", "examples.jsonl of the task's data sets.")]
Out = Annotated[Path, typer.Option(help="Run folder: the model, and the states to resume from.")]
Scenes = Annotated[Path | None, file_option("examples.jsonl for scene tuning, as prepare scene-tuning writes it.")]
SceneFootage = Annotated[Path | None, folder_option("Folder of its videos and pictures.")]
Recipe = Annotated[
    str, typer.Option(help="A row of the papers' tables (see --rows), or a JSON file with the fields to change.")
]
VideoLLM = Annotated[str | None, typer.Option(help="Folder or hub id of the Video-LLM. Default: Video-LLaVA-7B.")]
Extractors = Annotated[
    Literal["full", "embedded"] | None,
    typer.Option(help="full: the paper's networks; embedded: those of the package [as the recipe says]."),
]
Until = Annotated[Literal["scene", "task"], typer.Option(help="scene: stop after scene tuning; task: to the end.")]


Checkpoint = Annotated[
    str | None, typer.Option(help="Folder of the authors' files, or a hub id. Default for video-llava: Video-LLaVA-7B.")
]


@app.command()
def baseline(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help=f"One of: {', '.join(BASELINES)}; or a JSON file with its row and fields to change."
        ),
    ],
    examples: Examples,
    footage: Footage,
    out: Out,
    checkpoint: Checkpoint = None,
    quiet: Quiet = False,
) -> None:
    """Tune a Video-LLM of the papers' tables on the questions, without scenes, at its authors' rates.

    Run it again to resume; several GPUs as for train icm. The run folder is a --model like any other.
    """
    choice = recipe_choice(BASELINES, name, "BaselineTraining")
    if checkpoint is None and choice.row != "video-llava":
        raise typer.BadParameter("wanted, the folder of the authors' files", param_hint="--checkpoint")

    from omnisila.data.asked_examples import check_examples
    from omnisila.files import check_writable
    from omnisila.models.baselines.table import check_baseline

    check_examples(examples)
    if checkpoint is not None:
        check_baseline(choice.row, checkpoint)
    check_writable(out)

    from omnisila.recipes.rows.baseline import baseline_recipe
    from omnisila.recipes.rows.full import chosen_recipe
    from omnisila.recipes.shipping.full import Questions, Trainer
    from omnisila.scenes.cache import FeatureCache
    from omnisila.training.parallel import processes

    wanted = chosen_recipe(baseline_recipe(choice.row, checkpoint), choice)
    with processes() as parallel:
        trainer = Trainer(wanted, out, FeatureCache(), parallel, teller(quiet))
        trainer.train(None, Questions(examples, footage))


def _scene_model_command(model: Literal["icm", "hawkeye"], rows: Mapping[str, Row]) -> Callable[..., None]:
    """A command that trains rows of a paper's tables in front of a pretrained Video-LLM."""

    def train_scene_model(
        examples: Examples,
        footage: Footage,
        out: Out,
        scenes: Scenes = None,
        scene_footage: SceneFootage = None,
        recipe: Recipe = "full",
        backbone: VideoLLM = None,
        extractors: Extractors = None,
        until: Until = "task",
        listed: Annotated[
            bool, typer.Option("--rows", is_eager=True, callback=_rows_printer(rows), help="List the recipes and stop.")
        ] = False,
        quiet: Quiet = False,
    ) -> None:
        del listed  # handled by its callback
        from omnisila.data.asked_examples import check_examples
        from omnisila.files import check_writable
        from omnisila.models.backbones import check_video_llm
        from omnisila.scenes.full.checkpoints import Checkpoints
        from omnisila.weights.checkpoint_files import check_source

        choice = recipe_choice(rows, recipe, {"icm": "FullICM", "hawkeye": "FullHawkeye"}[model])
        check_examples(examples)
        if scenes is not None:
            check_examples(scenes)
        changes = {**rows[choice.row].changes, **choice.changes}
        check_stages(choice.row, changes.get("scene_tuning", ()) is not None, scenes is not None, until)
        if backbone is not None:
            check_source(backbone)
            if Path(backbone).expanduser().is_dir():
                check_video_llm(backbone)
        if extractors != "embedded":
            Checkpoints.from_options(**(choice.changes.get("sem") or {}).get("checkpoints", {})).check()
        check_writable(out)

        from omnisila.recipes.rows import hawkeye, icm
        from omnisila.recipes.rows.full import FullTraining, chosen_recipe
        from omnisila.recipes.shipping.full import Questions, Trainer
        from omnisila.scenes.cache import FeatureCache
        from omnisila.training.parallel import processes

        row: FullTraining = {"icm": icm, "hawkeye": hawkeye}[model].full_recipe(choice.row)
        wanted = chosen_recipe(row, choice, backbone, extractors)
        described = Questions(scenes, scene_footage or footage) if scenes is not None else None
        with processes() as parallel:
            trainer = Trainer(wanted, out, FeatureCache(), parallel, teller(quiet))
            trainer.train(described, Questions(examples, footage), until)

    return train_scene_model


app.command(
    "icm",
    help="""Train the ICM in front of a pretrained Video-LLM: scene tuning, dictionary, task tuning.

    Run it again to resume. Several GPUs: torchrun --nproc-per-node N -m omnisila train icm ...
    """,
)(_scene_model_command("icm", ICM))
app.command(
    "hawkeye",
    help="""Train Hawkeye, as published or as released, in front of a pretrained Video-LLM: pre-tuning, IasDig tuning.

    Pre-tuning reads the descriptions of actions and regions (HumanML3D, RefCOCO) in --scenes; EXAMPLES are those of
    S-S and S-D. Run it again to resume; several GPUs as for train icm.
    """,
)(_scene_model_command("hawkeye", HAWKEYE))
