"""``omnisila train distil``: a compact model that knows a large one's labels."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from omnisila.cli.arguments import Quiet, split_names
from omnisila.cli.telling import teller
from omnisila.labels import known_sets


def distil(
    footage: Annotated[
        Path, typer.Option(help="Folder of videos; nobody need have labelled them.", exists=True, file_okay=False)
    ],
    teacher: Annotated[
        list[str] | None,
        typer.Option(
            help="A run folder, or a Video-LLM's folder or hub id; repeat it for teachers that were trained without "
            "different folds of the footage. None: known labels alone teach."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="The student's run folder, and what the teachers said.")] = Path(
        "runs/distilled"
    ),
    student: Annotated[str, typer.Option(help="compact, or the run folder of a compact model.")] = "compact",
    labels: Annotated[
        list[str] | None,
        typer.Option("--labels", help="Label sets, or files that define one [what the teacher was trained on]."),
    ] = None,
    examples: Annotated[
        Path | None,
        typer.Option(help="examples.jsonl whose train split gives known labels.", exists=True, dir_okay=False),
    ] = None,
    taught: Annotated[
        list[Path] | None,
        typer.Option(
            help="examples.jsonl that a teacher was trained on; it answers no source of its train split. Repeat it.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    agreement: Annotated[
        Literal["windows", "asked", "none"],
        typer.Option(
            help="Which answers are believed: those that a neighbouring window shares, those that the teacher also "
            "gives when it is asked, or all."
        ),
    ] = "windows",
    temperature: Annotated[float, typer.Option(help="T, at which teacher and student are compared.", min=0.01)] = 2.0,
    quiet: Quiet = False,
) -> None:
    """Train a compact student on what teachers say of footage that nobody labelled; run it again to resume."""
    from omnisila.data.asked_examples import check_examples
    from omnisila.errors import InputError
    from omnisila.files import check_writable
    from omnisila.inference.inputs import expand
    from omnisila.inference.run_folders import plan_answering, student_folder
    from omnisila.inference.settings import AnalyzerConfig

    names = known_sets(split_names(labels)) if labels else None
    if not teacher and examples is None:
        raise InputError("nothing teaches: give --teacher, --examples with known labels, or both.")
    student_folder(student)
    for path in (*([examples] if examples else ()), *(taught or ())):
        check_examples(path)
    expand([footage])
    check_writable(out)
    for model in teacher or ():
        plan_answering(model, AnalyzerConfig(labels=names) if names else AnalyzerConfig())

    from omnisila.recipes.shipping.distilling import Footage
    from omnisila.recipes.shipping.distilling import distil as train_student
    from omnisila.scenes.cache import FeatureCache
    from omnisila.training.distilling import DistillationConfig

    say = teller(quiet)
    config = DistillationConfig.from_options(temperature=temperature)
    given = Footage(footage, examples, taught or ())
    record = train_student(student, teacher or (), given, out, FeatureCache(), config, say, names, agreement)
    say(f"{out}: model {record.identity.digest[:12]} is ready; omnisila calibrate fits its thresholds")
