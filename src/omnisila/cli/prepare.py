"""``omnisila prepare``: published annotations, or labelled footage, to examples in one format."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from omnisila.cli.arguments import Quiet, file_option, folder_option, split_names
from omnisila.cli.telling import tell

if TYPE_CHECKING:  # importing these takes seconds, and --help needs none of them
    from omnisila.data.annotated import Split
    from omnisila.data.preparation.sets import PreparedSet

_SHOWN = 10  # malformed rows told one by one


def prepare(
    set_name: Annotated[
        str, typer.Argument(metavar="SET", help="A data set, or scene-tuning for the four description sets together.")
    ],
    folder: Annotated[Path, typer.Argument(help="Where its annotations lie; for scene-tuning one sub-folder a set.")],
    out: Annotated[Path | None, typer.Option(help="Folder for the examples.")] = None,
    template: Annotated[
        bool,
        typer.Option(
            "--template", help="Only write a file to fill in into FOLDER: CSV for folder_csv, JSON for activitynet."
        ),
    ] = False,
    footage: Annotated[
        Path | None,
        folder_option("Folder of the videos; durations are read there, missing files left out. [folder_csv: FOLDER]"),
    ] = None,
    formats: Annotated[str, typer.Option("--format", help="jsonl, llava, parquet; several with commas.")] = "jsonl",
    window: Annotated[float, typer.Option(help="Seconds of a window; 0 makes none.", min=0)] = 1.0,
    subset: Annotated[
        Literal["s-s", "s-d"] | None,
        typer.Option(help="s-s: negative, no faces, muted; s-d: anomalies with times [the whole set]."),
    ] = None,
    segments: Annotated[
        Path | None, file_option("CSV video,start_s,end_s for s-d; without it: the weak variant.")
    ] = None,
    durations: Annotated[Path | None, file_option("CSV video,duration_s where there is no footage.")] = None,
    labels: Annotated[str | None, typer.Option(help="Label set of a generic set (activitynet, folder_csv).")] = None,
    causes: Annotated[
        Path | None, file_option("Table of written causes, checked by people, as annotate --sheet writes it.")
    ] = None,
    resplit: Annotated[bool, typer.Option("--resplit", help="Split again by group instead of as published.")] = False,
    render: Annotated[bool, typer.Option("--render", help="Draw motions without footage as videos.")] = False,
    cap: Annotated[int, typer.Option(help="Most descriptions of a set and split; 0: balance.")] = 100_000,
    quiet: Quiet = False,
) -> None:
    """Make examples of a data set and say how many there are, what was malformed and what was left out or changed.

    One's own videos are a folder with a CSV file (folder_csv: video,start_s,end_s,label and, if wanted, cause,split,
    group) or a JSON file (activitynet); --template writes either, see docs/own_videos.md. Exit status: 0 examples were
    written, 1 not one could be made, 2 wrong usage or a set that is not as expected.
    """
    from omnisila.data.preparation.example_files import check_formats, write_examples
    from omnisila.data.preparation.requests import Preparation, SetRequest, check_set, read_requested
    from omnisila.errors import InputError
    from omnisila.files import check_writable
    from omnisila.tables import read_table

    check_set(set_name)
    if not folder.exists():
        raise InputError(f"{folder}: no such file or folder. Give the one that the annotations of {set_name} lie in.")
    if template:
        _write_template(set_name, folder, labels, quiet)
        return
    if out is None:
        raise InputError("no --out: give the folder for the examples.")
    check_writable(out)
    preparation = Preparation.from_options(window_s=window or None, cap=cap or None)
    if set_name == "folder_csv" and footage is None and durations is None and _videos(folder):
        footage = folder
    request = SetRequest(
        name=set_name, folder=folder, footage=footage, out=out, subset=subset, segments=segments,
        durations=durations, labels=labels, causes=causes, resplit=resplit, render=render,
    )  # fmt: skip
    wanted = split_names([formats])
    check_formats(wanted)
    annotated = read_requested(request)
    for table, columns in (
        (durations, ("video", "duration_s")), (segments, ("video", "start_s", "end_s")),
        (causes, ("id", "cause", "verdict", "adjusted")),
    ):  # fmt: skip
        if table is not None:
            read_table(table, columns, keep_ragged=True)  # the table alone: rows are told with what they lack

    from omnisila.data.preparation.sets import prepare_set

    ready = prepare_set(request, annotated, preparation)
    counts = write_examples(ready.examples, out, wanted)
    if not quiet:
        _tell(ready, counts, out)
        if counts and subset == "s-s":
            tell(f"the muted videos are in {out / 'footage'}: give it to predict as --footage")
    if not counts:
        raise typer.Exit(1)


def _videos(folder: Path) -> list[str]:
    from omnisila.errors import InputError
    from omnisila.inference.inputs import expand

    try:
        return [file.name for file in expand([folder]).files] if folder.is_dir() else []
    except InputError:  # no video yet
        return []


def _write_template(set_name: str, folder: Path, labels: str | None, quiet: bool) -> None:
    from omnisila.data.sets import write_template

    videos = _videos(folder)
    path = write_template(set_name, folder, videos, labels)
    if not quiet:
        tell(f"{path}: {len(videos)} videos to fill in, as docs/own_videos.md says")


def _tell(ready: "PreparedSet", counts: "Counter[tuple[Split, str]]", out: Path) -> None:
    for (split, task), count in sorted(counts.items()):
        tell(f"{ready.name}: {split} {task} {count}")
    tell(f"{ready.name}: {counts.total()} examples in {out}")
    if ready.malformed:
        tell(f"malformed and left out: {len(ready.malformed)}")
    for row in ready.malformed[:_SHOWN]:
        place = row.file if row.line is None else f"{row.file}, line {row.line}"
        tell(f"  {place}: {row.reason}")
    if len(ready.malformed) > _SHOWN:
        tell(f"  and {len(ready.malformed) - _SHOWN} more")
    for line in ready.left_out.lines():
        tell(line)
