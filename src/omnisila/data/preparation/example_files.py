"""Examples as files: ``examples.jsonl``, LLaVA-style conversations, Parquet. All are streamed and appear when whole.

A million examples take no more memory than a thousand: each format holds at most one block of them.
"""

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from omnisila.data.annotated import Split
from omnisila.errors import check_known, needing
from omnisila.files import check_writable, written_aside
from omnisila.schema import Example

Write = Callable[[Example], None]
PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
_ROWS_A_GROUP = 8192  # held in memory before they are written


def write_examples(
    examples: Iterable[Example], folder: Path, formats: Sequence[str] = ("jsonl",)
) -> Counter[tuple[Split, str]]:
    """Write a stream of examples in several formats at once; files of an earlier run are replaced only at the end.

    Args:
        examples: read once.
        folder: gets ``examples.jsonl``, ``llava_<split>.json`` and ``examples.parquet``, as asked for.
        formats: keys of ``FORMATS``.

    Returns:
        How many examples there are of each (split, task).

    Raises:
        InputError: no such format, or pyarrow is not installed.
        OutputError: a file cannot be written; none has changed.
    """
    check_formats(formats)
    counts: Counter[tuple[Split, str]] = Counter()
    check_writable(folder)
    with contextlib.ExitStack() as stack:
        writes = [stack.enter_context(FORMATS[name](folder)) for name in dict.fromkeys(formats)]
        for example in examples:
            counts[example.split, example.task] += 1
            for write in writes:
                write(example)
    return counts


def check_formats(names: Sequence[str]) -> None:
    """Whether examples can be written so.

    Raises:
        InputError: no such format, or none.
    """
    check_known("format", names or ("",), FORMATS)


@contextlib.contextmanager
def jsonl(folder: Path) -> Iterator[Write]:
    """One example a line, as all commands exchange them."""
    with written_aside(folder / "examples.jsonl") as file:

        def write(example: Example) -> None:
            file.write(example.model_dump_json().encode() + b"\n")

        yield write


@contextlib.contextmanager
def llava(folder: Path) -> Iterator[Write]:
    """One JSON list a split, as LLaVA's and Video-LLaVA's trainers read it; the stretch of time stands beside."""
    with contextlib.ExitStack() as stack:
        files: dict[str, BinaryIO] = {}

        def write(example: Example) -> None:
            file = files.get(example.split)
            if file is None:
                file = stack.enter_context(written_aside(folder / f"llava_{example.split}.json", b"\n]\n"))
                files[example.split] = file
                file.write(b"[\n")
            else:
                file.write(b",\n")
            file.write(json.dumps(conversation(example), ensure_ascii=False).encode())

        yield write


def conversation(example: Example) -> dict[str, Any]:
    """An example as LLaVA's trainers know it: who says what, with a mark where the pictures go."""
    kind = "image" if PurePosixPath(example.video).suffix.lower() in PICTURES else "video"
    return {
        "id": example.id,
        kind: example.video,
        "conversations": [
            {"from": "human", "value": f"<{kind}>\n{example.instruction}"},
            {"from": "gpt", "value": example.answer},
        ],
        "start_s": example.start_s,
        "end_s": example.end_s,
    }


@contextlib.contextmanager
def parquet(folder: Path) -> Iterator[Write]:
    """One table of all splits, written in groups of rows; columns are the example's fields."""
    with needing("pyarrow", "Parquet", "data"):
        import pyarrow as pa
        import pyarrow.parquet as pq
    span = pa.struct([("start_s", pa.float64()), ("end_s", pa.float64())])
    truth = pa.struct([("span", span), ("label", pa.string()), ("cause", pa.string())])
    kinds = {
        "start_s": pa.float64(), "end_s": pa.float64(), "truth": pa.list_(truth),
        "intensities": pa.map_(pa.string(), pa.float64()),
    }  # fmt: skip
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in Example.model_fields])
    rows: list[dict[str, Any]] = []
    with (
        written_aside(folder / "examples.parquet") as file,
        pq.ParquetWriter(file, schema, compression="zstd") as table,
    ):

        def flush() -> None:
            table.write_table(pa.Table.from_pylist(rows, schema=schema))
            rows.clear()

        def write(example: Example) -> None:
            row = example.model_dump()
            row["intensities"] = None if example.intensities is None else list(example.intensities.items())
            rows.append(row)
            if len(rows) == _ROWS_A_GROUP:
                flush()

        yield write
        if rows:
            flush()


FORMATS = {"jsonl": jsonl, "llava": llava, "parquet": parquet}
