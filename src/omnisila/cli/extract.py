"""``omnisila extract``: scene features of videos into the cache, so that later commands start at once."""

from typing import Annotated

import typer

from omnisila.cli.arguments import Quiet
from omnisila.cli.telling import tell, teller


def extract(
    videos: Annotated[list[str], typer.Argument(metavar="VIDEO...", help="Videos, pictures, folders or globs.")],
    model: Annotated[str, typer.Option(help="Whose extractors: compact, or a run folder.")] = "compact",
    quiet: Quiet = False,
) -> None:
    """Extract and cache the scene features of videos.

    Exit status: 0 all extracted, 1 some failed (each named), 2 wrong usage.
    """
    from omnisila.errors import MediaError, OmnisilaError
    from omnisila.inference.inputs import check_only, expand
    from omnisila.inference.run_folders import run_folder

    inputs, folder = expand(videos), run_folder(model)
    try:
        check_only(inputs)
    except MediaError as error:
        tell(f"failed: {error}", err=True)
        raise typer.Exit(1) from None

    from omnisila.models.checkpoint import RunRecord
    from omnisila.models.run_files import read_record
    from omnisila.scenes.cache import FeatureCache
    from omnisila.scenes.profile import LoadedWhenNeeded

    say, cache = teller(quiet), FeatureCache()
    record = read_record(folder, RunRecord)
    profile = LoadedWhenNeeded(record.sem.at_rate(record.window.rate_hz))
    for note in inputs.notes:
        say(f"note: {note}")
    failures = [failure.reason for failure in inputs.failed]
    for item in inputs.files:
        try:
            extracted = cache.ensure_features(item.path, profile)
        except OmnisilaError as error:
            failures.append(str(error))
            continue
        if extracted.unkept:
            failures.append(f"{item.path}: {cache.warning}")
            continue
        spent = sum(extracted.seconds.values())
        told = f"{spent:.1f} s" if extracted.seconds else "already there"
        say(f"{item.name}: {extracted.info.duration_s:.1f} s of video, {told}")
    say(f"features are in {cache.root}")
    for reason in failures:
        tell(f"failed: {reason}", err=True)
    if failures:
        raise typer.Exit(1)
