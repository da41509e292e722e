"""``omnisila quantise``: a Video-LLM's checkpoint in 8 or 4 bits."""

from pathlib import Path
from typing import Annotated, Literal

import typer


def quantise(
    source: Annotated[str, typer.Argument(metavar="MODEL", help="A Video-LLM's folder, or the hub id of one.")],
    out: Annotated[Path, typer.Option(help="Folder of the new checkpoint, which is given as --model or --backbone.")],
    bits: Annotated[Literal["4", "8"], typer.Option(help="Of each weight of the language model.")] = "8",
    precision: Annotated[
        Literal["bfloat16", "float32"], typer.Option(help="Of the arithmetic, and of what keeps its bits.")
    ] = "bfloat16",
) -> None:
    """Store a Video-LLM with fewer bits. What it says changes a little: calibrate runs on it again."""
    from omnisila.models.backbones import check_video_llm

    check_video_llm(source)

    import torch

    from omnisila.models.quantised import save_quantised

    save_quantised(source, 4 if bits == "4" else 8, out, getattr(torch, precision))
    typer.echo(f"{out}: {source} in {bits} bits")
