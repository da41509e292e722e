"""``omnisila predict``: a system's answers to prepared examples."""

from pathlib import Path
from typing import Annotated

import typer

from omnisila.cli.arguments import BaseUrl, Contextual, Examples, Footage, KeyVariable, LabelFiles, Quiet, SceneText
from omnisila.labels import known_sets


def predict(
    examples: Examples,
    footage: Footage,
    model: Annotated[
        str,
        typer.Option(
            help="compact, a run folder, hawkeye-release:FOLDER (the authors' checkpoint and feature files), a plain "
            "Video-LLM's folder or hub id (answers by likelihood), query:BACKBONE (the same, asked), or "
            "module:function of (example, video path)."
        ),
    ] = "compact",
    out: Annotated[Path, typer.Option(help="Where the answers go; run again to resume.")] = Path("predictions.jsonl"),
    split: Annotated[str | None, typer.Option(help="Only this split: train, val or test. Default: all.")] = None,
    labels: LabelFiles = None,
    contextual: Contextual = False,
    scene_text: SceneText = False,
    base_url: BaseUrl = None,
    key_variable: KeyVariable = "OPENAI_API_KEY",
    quiet: Quiet = False,
) -> None:
    """Answer prepared examples with a model or a Python function.

    Exit status: 0 all answered, 1 some videos failed (each named), 2 wrong usage.
    """
    from omnisila.data.asked_examples import check_examples
    from omnisila.inference.run_folders import check_system
    from omnisila.inference.settings import AnalyzerConfig

    known_sets(labels or ())
    check_examples(examples, split)
    settings = AnalyzerConfig(
        contextual=contextual, scene_text=scene_text, base_url=base_url, key_variable=key_variable
    )
    check_system(model, settings)

    from rich.console import Console

    from omnisila.inference.predict import outdated_file
    from omnisila.inference.predict import predict as answer
    from omnisila.inference.systems import system

    console = Console(stderr=True, quiet=quiet)

    def tell(video: str, count: int) -> None:
        console.print(f"{video}: {count} examples", highlight=False, markup=False)

    answering = system(model, settings=settings)
    if notice := getattr(answering, "notice", ""):
        console.print(f"note: {notice}", highlight=False, markup=False, soft_wrap=True)
    ended = answer(examples, footage, answering, out, split, tell)
    console.print(f"{out}: {ended.answered} answers, {ended.before} from before", highlight=False, markup=False)
    if ended.unparsed:
        console.print(
            f"{ended.unparsed} answers could not be parsed: they are kept as text and counted by score",
            highlight=False, markup=False, soft_wrap=True,
        )  # fmt: skip
    if ended.outdated:
        console.print(
            f"{ended.outdated} answers from before were to other times, questions or footage: what is still asked was "
            f"asked again, the old ones are in {outdated_file(out)}",
            highlight=False, markup=False, soft_wrap=True,
        )  # fmt: skip
    for failure in ended.failed:
        typer.echo(f"failed: {failure.reason}", err=True)
    if ended.failed:
        raise typer.Exit(1)
