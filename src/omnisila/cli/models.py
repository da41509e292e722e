"""``omnisila models``: which models there are, their cards, and whether their files are whole."""

from typing import Annotated

import typer

from omnisila.cli.telling import tell


def models(
    name: Annotated[str | None, typer.Argument(help="Show this model's card; leave out to list all.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Check the SHA-256 of every weight file.")] = False,
) -> None:
    """List the embedded models, show a model card, or verify the hashes of all weights."""
    from omnisila import weights
    from omnisila.inference.run_folders import model_folder
    from omnisila.models.run_files import is_reaction, run_summary

    if verify:
        from omnisila.models.checkpoint import load_run
        from omnisila.models.reaction_run import load_reaction

        for network, record in weights.verify().items():
            tell(f"ok  {record.file}  {network} from {record.package} {record.version} ({record.licence})")
        for run in weights.RUNS:
            folder = model_folder(run)
            loaded = load_reaction(folder) if is_reaction(folder) else load_run(folder)
            tell(f"ok  {run}/  digest {loaded.record.identity.digest}")
        return
    if name is not None:
        card = model_folder(name) / "card.md"
        typer.echo(card.read_text(encoding="utf-8") if card.is_file() else f"{name}: no model card in {card.parent}")
        return
    for run in weights.RUNS:
        said = run_summary(model_folder(run))
        scored = "; ".join(f"{name}: {', '.join(of_set)}" for name, of_set in said.labels.items())
        tell(f"{run}  version {said.version}  {scored}")
