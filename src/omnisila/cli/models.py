"""``omnisila models``: which models there are, their cards, and whether their files are whole."""

from typing import Annotated

import typer


def models(
    name: Annotated[str | None, typer.Argument(help="Show this model's card; leave out to list all.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Check the SHA-256 of every weight file.")] = False,
) -> None:
    """List the embedded models, show a model card, or verify the hashes of all weights."""
    from omnisila import weights
    from omnisila.inference.load import run_folder
    from omnisila.models.checkpoint import load_run

    if verify:
        for network, record in weights.verify().items():
            typer.echo(f"ok  {record.file}  {network} from {record.package} {record.version} ({record.licence})")
        for run in weights.RUNS:
            typer.echo(f"ok  {run}/  digest {load_run(run_folder(run)).record.identity.digest}")
        return
    if name is not None:
        card = run_folder(name) / "card.md"
        typer.echo(card.read_text(encoding="utf-8") if card.is_file() else f"{name}: no model card in {card.parent}")
        return
    for run in weights.RUNS:
        record = load_run(run_folder(run)).record
        scored = "; ".join(f"{labels}: {', '.join(names)}" for labels, names in record.labels.items())
        typer.echo(f"{run}  version {record.version}  {scored}")
