"""Arguments and options that several commands take, each stated once."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

Examples = Annotated[
    Path,
    typer.Argument(metavar="EXAMPLES", help="An examples.jsonl, as prepare writes it.", exists=True, dir_okay=False),
]
Footage = Annotated[Path, typer.Option(help="Folder that the examples' videos are in.", exists=True, file_okay=False)]
SPLIT_HELP = "The split: train, val or test. Default: test, or the only one there is."
ScoredSplit = Annotated[str | None, typer.Option(help=SPLIT_HELP)]
Draws = Annotated[int, typer.Option(min=0, help="Draws of the bootstrap over videos; 0: no intervals.")]
LabelFiles = Annotated[
    list[str] | None,
    typer.Option("--labels", help="A file that defines a label set, so that examples of it are known; repeat it."),
]
Contextual = Annotated[
    bool,
    typer.Option(
        "--contextual",
        help="Of a plain Video-LLM: divide each label's likelihood by that for an empty video, so that a label the "
        "model likes to say is not found everywhere.",
    ),
]
SceneText = Annotated[
    bool,
    typer.Option(
        "--scene-text", help="Of a plain Video-LLM: tell it in words what the scene extractors saw in a window."
    ),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(help="OpenAI-compatible endpoint of --model openai:NAME, such as http://localhost:8000/v1."),
]
KeyVariable = Annotated[str, typer.Option(help='Environment variable with its key; "" for a server without keys.')]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print errors only.")]


def listed(values: Iterable[str]) -> tuple[str, ...]:
    """The names in an option's values, with commas between or each in a value of its own; each once."""
    names = (name.strip() for value in values for name in value.split(","))
    return tuple(dict.fromkeys(name for name in names if name))
