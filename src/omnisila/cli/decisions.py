"""``omnisila decisions``: what people decided on the review page, as data."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from omnisila.cli.telling import tell

if TYPE_CHECKING:
    from omnisila.serve.decisions import DecisionLog
    from omnisila.serve.store import Store

app = typer.Typer(no_args_is_help=True, help="What people decided on the review page, as data.")

Reports = Annotated[
    Path, typer.Argument(metavar="REPORTS", help="The folder that omnisila serve was given.", file_okay=False)
]
State = Annotated[Path | None, typer.Option(help="The --state that omnisila serve was given.")]


@app.command("export")
def export(
    reports: Reports,
    out: Annotated[
        Path, typer.Option(help="The file to write; for the forms of other programs a folder, with one file a video.")
    ] = Path("decisions.jsonl"),
    form: Annotated[
        str, typer.Option("--format", help="jsonl, activitynet, csv, elan, label_studio or vtt.")
    ] = "jsonl",
    user: Annotated[list[str] | None, typer.Option(help="Only this person's; may be repeated [all].")] = None,
    state: State = None,
) -> None:
    """Write everybody's latest word on every finding that was decided on or rated.

    JSONL has one line a person and finding, rejected ones too, with the model's word beside the person's. The other
    forms hold the accepted findings as people corrected them. Exit status: 0 written, 2 wrong usage or no decisions.
    """
    from omnisila.errors import InputError, unknown
    from omnisila.serve.exporting import FORMATS, write_files, write_lines

    if form not in ("jsonl", *FORMATS):
        raise InputError(unknown("format", form, ("jsonl", *FORMATS)))
    log = _log(reports, state)
    chosen = [decision for decision in log.decisions() if not user or decision.user in user]
    if form == "jsonl":
        tell(f"{out}: {write_lines(chosen, out)} decisions")
    else:
        tell(f"{out}: {len(write_files(chosen, form, out))} videos")


@app.command("audit")
def audit(
    reports: Reports,
    limit: Annotated[int, typer.Option(min=1, help="How many of the latest entries.")] = 1000,
    state: State = None,
) -> None:
    """Print who saw and decided what, one JSON object a line, the latest first."""
    store = _store(reports, state)
    from omnisila.serve.audit import entries

    for entry in entries(store, limit=limit):
        typer.echo(entry.model_dump_json())


@app.command("replay")
def replay(reports: Reports, state: State = None) -> None:
    """Make everybody's state anew from the log of decisions; nothing changes unless the file was damaged."""
    log = _log(reports, state)
    log.replay()
    tell(f"{reports}: {sum(1 for _ in log.history())} entries replayed")


def _log(reports: Path, state: Path | None) -> "DecisionLog":
    store = _store(reports, state)
    from omnisila.serve.decisions import DecisionLog

    return DecisionLog(store)


def _store(reports: Path, state: Path | None) -> "Store":
    from omnisila.errors import InputError, needing

    with needing(None, "the log of decisions", "serve"):
        from omnisila.serve.settings import DATABASE, STATE_FOLDER
        from omnisila.serve.store import Store
    path = (state or reports / STATE_FOLDER) / DATABASE
    if not path.is_file():
        raise InputError(f"{path}: nobody has decided anything there. Run: omnisila serve {reports}")
    return Store(path)
