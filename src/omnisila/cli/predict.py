"""``omnisila predict``: a system's answers to prepared examples."""

from pathlib import Path
from typing import Annotated

import typer

from omnisila.cli.arguments import Examples, Footage, LabelFiles, Quiet
from omnisila.cli.option_groups import AnswerOptions, with_groups
from omnisila.cli.telling import tell, teller
from omnisila.labels import known_sets


@with_groups
def predict(
    examples: Examples,
    footage: Footage,
    model: Annotated[
        str,
        typer.Option(
            help="compact, a run folder, hawkeye-release:FOLDER (the authors' checkpoint and feature files), a plain "
            "Video-LLM's folder or hub id (answers by likelihood), query:BACKBONE (the same, asked), openai:NAME (one "
            "behind an endpoint), or module:function of (example, video path)."
        ),
    ] = "compact",
    out: Annotated[Path, typer.Option(help="Where the answers go; run again to resume.")] = Path("predictions.jsonl"),
    split: Annotated[str | None, typer.Option(help="Only this split: train, val or test. Default: all.")] = None,
    labels: LabelFiles = None,
    *,
    options: AnswerOptions,
    quiet: Quiet = False,
) -> None:
    """Answer prepared examples with a model or a Python function.

    --window and --rate are for plain Video-LLMs and endpoints; other models have windows of their own.
    Exit status: 0 all answered, 1 some videos failed (each named), 2 wrong usage.
    """
    from omnisila.data.asked_examples import check_examples
    from omnisila.files import check_replaceable
    from omnisila.inference.run_folders import check_system, is_endpoint

    known_sets(labels or ())
    settings = options.settings()
    check_examples(examples, split, check_system(model, settings))
    check_replaceable(out)
    options.check_estimate(model)

    from omnisila.inference.lettered import estimate_answers
    from omnisila.inference.predict import outdated_file
    from omnisila.inference.predict import predict as answer
    from omnisila.inference.systems import system
    from omnisila.records import records
    from omnisila.schema import Example

    say = teller(quiet)
    answering = system(model, settings=settings)
    if notice := getattr(answering, "notice", ""):
        say(f"note: {notice}")
    if is_endpoint(model):
        wanted = [each for each in records(examples, Example) if split in (None, each.split)]
        cost = estimate_answers(answering, wanted, settings)
        if options.estimate:
            tell(str(cost))
            return
        say(f"{answering.name}: {cost}")
    ended = answer(examples, footage, answering, out, split, lambda video, count: say(f"{video}: {count} examples"))
    say(f"{out}: {ended.answered} answers, {ended.before} from before")
    if ended.unparsed:
        say(f"{ended.unparsed} answers hold nothing that can be scored: they are kept as text and counted by score")
    if ended.outdated:
        say(
            f"{ended.outdated} answers from before were to other times, questions or footage: what is still asked was "
            f"asked again, the old ones are in {outdated_file(out)}"
        )
    for failure in ended.failed:
        tell(f"failed: {failure.reason}", err=True)
    if ended.failed:
        raise typer.Exit(1)
