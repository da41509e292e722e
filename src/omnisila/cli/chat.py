"""``omnisila chat``: questions about a whole video."""

from pathlib import Path
from typing import Annotated

import typer

from omnisila.cli.arguments import file_argument
from omnisila.cli.telling import tell


def chat(
    video: Annotated[Path, file_argument(None, "A video or still picture.")],
    model: Annotated[str, typer.Option(help="compact, a run folder, a Video-LLM's folder, or a hub id.")] = "compact",
    ask: Annotated[
        list[str] | None,
        typer.Option(help="A question; repeat for more. Default: lines that are typed."),
    ] = None,
) -> None:
    """Ask about a whole video; its pictures are read once, and what was said before is kept in mind.

    A compact model answers the questions that it was taught, and lists them when it is asked another; a run of train
    icm and a plain Video-LLM answer in their own words.
    Exit status: 0 answered, 2 wrong usage or a video that cannot be read.
    """
    from omnisila.inference.run_folders import run_folder
    from omnisila.inference.taught_questions import TaughtQuestions
    from omnisila.models.run_files import is_compact, run_summary

    folder = run_folder(model)
    if is_compact(folder):
        taught = TaughtQuestions(run_summary(folder).labels)
        for question in ask or ():
            taught.instruction(question)

    from omnisila.media.source import DecodeLimits, open_source

    open_source(video, DecodeLimits())

    from omnisila.errors import InputError
    from omnisila.inference.chat import Chat, TaughtChat
    from omnisila.inference.settings import AnalyzerConfig
    from omnisila.inference.zero_shot import load_model
    from omnisila.scenes.cache import FeatureCache

    run = load_model(model, folder, AnalyzerConfig())
    talk = (Chat if run.pretrained is not None else TaughtChat)(run, video, FeatureCache())
    if ask:
        for question in ask:
            _say(talk.ask(question))
        return
    while True:
        try:
            question = typer.prompt(">", prompt_suffix=" ", default="", show_default=False)
        except typer.Abort:
            return
        if not question.strip():
            return
        try:
            _say(talk.ask(question))
        except InputError as error:  # of this question; the next may be another
            tell(str(error), err=True)


def _say(answer: str) -> None:
    for line in answer.splitlines() or [""]:
        tell(line)
