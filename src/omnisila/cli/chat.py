"""``omnisila chat``: questions about a whole video."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from omnisila.inference.chat import Chat


def chat(
    video: Annotated[Path, typer.Argument(help="A video or still picture.", exists=True, dir_okay=False)],
    model: Annotated[str, typer.Option(help="compact, a run folder, or the hub id of one.")] = "compact",
    ask: Annotated[
        list[str] | None,
        typer.Option(help="A question; repeat for more. Default: lines that are typed."),
    ] = None,
) -> None:
    """Ask about a whole video; its pictures are read once, and what was said before is kept in mind.

    The compact model answers only the instructions that it was taught; a run of train icm answers in its own words.
    Exit status: 0 answered, 2 wrong usage or a video that cannot be read.
    """
    from omnisila.inference.run_folders import run_folder

    folder = run_folder(model)

    from omnisila.inference.chat import Chat
    from omnisila.models.checkpoint import load_run
    from omnisila.scenes.cache import FeatureCache

    talk = Chat(load_run(folder), video, FeatureCache())
    if ask:
        for question in ask:
            _answer(talk, question)
        return
    while True:
        try:
            question = typer.prompt(">", prompt_suffix=" ", default="", show_default=False)
        except typer.Abort:
            return
        if not question.strip():
            return
        _answer(talk, question)


def _answer(talk: "Chat", question: str) -> None:
    typer.echo(talk.ask(question))
