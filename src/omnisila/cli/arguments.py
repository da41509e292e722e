"""Arguments and options that several commands take, each stated once."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer


def file_argument(metavar: str | None, text: str) -> Any:
    """An argument that is a file, which must be there."""
    return typer.Argument(metavar=metavar, help=text, exists=True, dir_okay=False)


def folder_argument(metavar: str | None, text: str) -> Any:
    return typer.Argument(metavar=metavar, help=text, exists=True, file_okay=False)


def file_option(text: str, metavar: str | None = None) -> Any:
    """An option that is a file, which must be there."""
    return typer.Option(help=text, metavar=metavar, exists=True, dir_okay=False)


def folder_option(text: str) -> Any:
    return typer.Option(help=text, exists=True, file_okay=False)


Examples = Annotated[Path, file_argument("EXAMPLES", "An examples.jsonl, as prepare writes it.")]
Footage = Annotated[Path, folder_option("Folder that the examples' videos are in.")]
SPLIT_HELP = "The split: train, val or test. Default: test, or the only one there is."
ScoredSplit = Annotated[str | None, typer.Option(help=SPLIT_HELP)]
Draws = Annotated[int, typer.Option(min=0, help="Draws of the bootstrap over videos; 0: no intervals.")]
LabelFiles = Annotated[
    list[str] | None,
    typer.Option("--labels", help="A file that defines a label set, so that examples of it are known; repeat it."),
]
Model = Annotated[
    str,
    typer.Option(
        help="compact, compact-hawkeye, a run folder, or a plain Video-LLM's folder (zero-shot), or the hub id of "
        "either; query:BACKBONE: such a Video-LLM, asked in words; openai:NAME: one behind an endpoint."
    ),
]
BlurFaces = Annotated[bool, typer.Option("--blur-faces", help="Blur faces in the page and in cut clips.")]


def _silence_libraries(quiet: bool) -> bool:
    """Before any of them is imported: those that load weights draw bars."""
    if quiet:
        os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    return quiet


Quiet = Annotated[bool, typer.Option("--quiet", help="Print errors only.", callback=_silence_libraries)]


def split_names(values: Iterable[str]) -> tuple[str, ...]:
    """The names in an option's values, with commas between or each in a value of its own; each once."""
    names = (name.strip() for value in values for name in value.split(","))
    return tuple(dict.fromkeys(name for name in names if name))
