"""``omnisila models``: which models there are, their cards, and whether their files are whole."""

from typing import Annotated

import typer


def models(
    name: Annotated[str | None, typer.Argument(help="Show this model's card; leave out to list all.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Check the SHA-256 of every weight file.")] = False,
) -> None:
    """List the embedded models, show a model card, or verify the hashes of all weights."""
    from omnisila import weights
    from omnisila.inference.load import is_reaction, model_folder
    from omnisila.labels import REACTION
    from omnisila.models.checkpoint import RunRecord, load_run
    from omnisila.models.reaction_run import ReactionRecord, load_reaction

    def record_of(run: str) -> RunRecord | ReactionRecord:
        folder = model_folder(run)
        return load_reaction(folder).record if is_reaction(folder) else load_run(folder).record

    if verify:
        for network, record in weights.verify().items():
            typer.echo(f"ok  {record.file}  {network} from {record.package} {record.version} ({record.licence})")
        for run in weights.RUNS:
            typer.echo(f"ok  {run}/  digest {record_of(run).identity.digest}")
        return
    if name is not None:
        card = model_folder(name) / "card.md"
        typer.echo(card.read_text(encoding="utf-8") if card.is_file() else f"{name}: no model card in {card.parent}")
        return
    for run in weights.RUNS:
        record = record_of(run)
        labels = {REACTION.name: record.labels_scored} if isinstance(record, ReactionRecord) else record.labels
        scored = "; ".join(f"{name}: {', '.join(of_set)}" for name, of_set in labels.items())
        typer.echo(f"{run}  version {record.version}  {scored}")
