"""``omnisila annotate``: causes for annotated spans, written by a model behind an endpoint, to be checked by people."""

from pathlib import Path
from typing import Annotated

import typer

from omnisila.cli.arguments import Quiet
from omnisila.cli.option_groups import Estimate, KeyVariable, RequestOptions, RequiredBaseUrl, with_groups
from omnisila.cli.telling import tell, teller


@with_groups
def annotate(
    name: Annotated[str, typer.Argument(metavar="SET", help="Whose annotations, such as tsl300.")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the annotation files lie.")],
    footage: Annotated[Path, typer.Option(help="Folder of the videos. Their pictures are sent to the endpoint.")],
    out: Annotated[Path, typer.Option(help="JSONL file of causes; an existing one is gone on with.")],
    base_url: RequiredBaseUrl,
    model: Annotated[str, typer.Option(help="A model there that takes pictures.")],
    labels: Annotated[str | None, typer.Option(help="Label set of annotations that have none of their own.")] = None,
    key_variable: KeyVariable = "OPENAI_API_KEY",
    estimate: Estimate = False,
    sheet: Annotated[Path | None, typer.Option(help="Also write all causes as a CSV table for people.")] = None,
    temperature: Annotated[float | None, typer.Option(help="Left to the endpoint when not given.")] = None,
    *,
    requests: RequestOptions,
    quiet: Quiet = False,
) -> None:
    """Write a cause for each annotated span that has none; run it again to resume.

    Spans whose video is not in the footage folder are told once and not counted. Exit status: 0 all others written,
    1 some failed (each named), 2 wrong usage or no video there at all.
    """
    from omnisila.data.sets import read_set
    from omnisila.endpoint import EndpointConfig
    from omnisila.errors import InputError

    endpoint = EndpointConfig.from_options(
        base_url=base_url, model=model, key_variable=key_variable, temperature=temperature,
        **requests.requests,
    )  # fmt: skip
    say = teller(quiet)
    annotated = read_set(name, folder, labels)
    if not estimate:
        endpoint.check()

    from omnisila.data.causes.annotator import (
        Annotator,
        Unwritten,
        estimate_run,
        read_causes,
        read_done,
        uncaused_spans,
    )
    from omnisila.data.causes.checking import write_sheet
    from omnisila.data.preparation.left_out import LeftOut

    for row in annotated.malformed:
        tell(f"left out: {row.file}, line {row.line}: {row.reason}", err=True)
    timeless = sum(video.truth is None for video in annotated.videos)
    if timeless:
        say(f"{timeless} videos have a label but no times, so there is no span to write a cause for")
    wanted = uncaused_spans(annotated)
    spans = [span for span in wanted if (footage / span.video).is_file()]
    absent = LeftOut()
    for video in dict.fromkeys(span.video for span in wanted if not (footage / span.video).is_file()):
        absent.add(f"video missing in {footage}, and so none of its spans is asked about", video)
    for line in absent.lines():
        say(line)
    if wanted and not spans:
        raise InputError(f"{footage}: none of the {len(wanted)} spans' videos is there. Give the folder they are in.")
    done = read_done(out)
    left = [span for span in spans if span.id not in done]
    cost = f"{len(left)} spans to write, {len(spans) - len(left)} done: {estimate_run(left, endpoint)}"
    if estimate:
        tell(cost)
        return
    say(cost)
    failed = 0
    with endpoint.build() as client:
        for number, outcome in enumerate(Annotator(client).run(spans, footage, out), 1):
            if isinstance(outcome, Unwritten):
                failed += 1
                tell(f"failed: {outcome.id}: {outcome.reason}", err=True)
            else:
                cause = outcome.cause or "nothing seen that bears on the label"
                say(f"{number}/{len(left)} {outcome.id}: {cause}")
    if sheet is not None:
        write_sheet(sheet, read_causes(out) if out.exists() else ())
    if failed:
        tell(f"{failed} of {len(left)} spans stay without a cause; run the same command again.", err=True)
        raise typer.Exit(1)
