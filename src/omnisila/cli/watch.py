"""``omnisila watch``: findings of live streams while they happen."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from omnisila.cli.arguments import Quiet
from omnisila.cli.option_groups import FindingOptions, with_groups
from omnisila.cli.telling import teller

SECRET = "OMNISILA_WATCH_SECRET"


@with_groups
def watch(
    streams: Annotated[
        list[str],
        typer.Argument(
            metavar="STREAM...",
            help="rtsp://, http(s)://, a camera such as /dev/video0, a folder that fills, or a file; NAME= before it "
            "names it.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of events and clips; made when missing.")] = Path("omnisila-watch"),
    notify: Annotated[
        list[str] | None,
        typer.Option(help="Who is told: http(s):// for a signed POST, mqtt(s)://host/topic; may be repeated."),
    ] = None,
    for_s: Annotated[float | None, typer.Option("--for", help="End after so many seconds [never].")] = None,
    model: Annotated[
        str, typer.Option(help="compact, compact-hawkeye or a run folder that reads features.")
    ] = "compact",
    transport: Annotated[Literal["tcp", "udp"], typer.Option(help="Of RTSP.")] = "tcp",
    before: Annotated[float, typer.Option(min=0, help="Seconds that a clip shows before its finding.")] = 5.0,
    after: Annotated[float, typer.Option(min=0, help="Seconds that it shows after it.")] = 5.0,
    cooldown: Annotated[
        float, typer.Option(min=0, help="Seconds without another notice of the same label of the same camera.")
    ] = 60.0,
    keep_days: Annotated[float | None, typer.Option(help="Take results away that are older [never].")] = None,
    keep_gb: Annotated[float | None, typer.Option(help="Take the oldest clips away beyond this [never].")] = None,
    metrics: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Answer Prometheus at this port of 127.0.0.1.")
    ] = None,
    *,
    options: FindingOptions,
    quiet: Quiet = False,
) -> None:
    """Watch streams: findings open, are told, and close with a clip, for days; a stream that fails is opened again.

    OUT/STREAM/DATE/HOUR.jsonl has every event, OUT/STREAM/DATE/HOUR/ the clips with their analyses, which omnisila
    serve OUT shows. Notices are signed with the environment's OMNISILA_WATCH_SECRET, else with a secret that is made in
    OUT/.omnisila. Exit status: 0 ended as asked, 2 wrong usage.
    """
    from omnisila.errors import InputError, needing
    from omnisila.files import check_writable
    from omnisila.inference.run_folders import plan_answering
    from omnisila.watch.address import Address, distinct
    from omnisila.watch.outbox import secret_of
    from omnisila.watch.settings import WatchSettings
    from omnisila.watch.targets import target

    if metrics is not None:
        with needing("prometheus-client", "--metrics", "watch"):
            import prometheus_client  # noqa: F401
    for option, value in (("--for", for_s), ("--keep-days", keep_days), ("--keep-gb", keep_gb)):
        if value is not None and value <= 0:
            raise typer.BadParameter(f"{value:g} is not above 0", param_hint=option)
    addresses = distinct([Address.parse(stream) for stream in streams])
    settings = WatchSettings(
        out=out, transport=transport, pre_s=before, post_s=after, cooldown_s=cooldown, keep_days=keep_days,
        keep_bytes=None if keep_gb is None else int(keep_gb * 1e9),
    )  # fmt: skip
    if options.camera is not None and len(addresses) > 1:
        raise InputError(
            f"--camera {options.camera}: of one camera, but {len(addresses)} streams. Watch each by itself."
        )
    asked = options.settings()
    runs = plan_answering(model, asked)
    if runs.scenes is None or runs.reaction is not None:
        raise InputError("watch looks for events and faces, not for reactions. Leave reaction out of --labels.")
    check_writable(out)
    secret = secret_of(out / ".omnisila" / "watch.secret", os.environ.get(SECRET)) if notify else b""
    targets = [target(item, secret) for item in notify or ()]

    from omnisila.inference.analyzer import Analyzer
    from omnisila.inference.load import load
    from omnisila.watch.watching import Watch

    analyzer = load(model, asked)
    assert isinstance(analyzer, Analyzer)  # its runs have scenes and no reaction

    Watch(addresses, analyzer, settings, targets, teller(quiet), lambda: _find_accepted(out)).run(for_s, metrics)


def _find_accepted(out: Path) -> frozenset[str]:
    """The clips whose findings people accepted on the review page."""
    try:
        from omnisila.serve.decisions import DecisionLog
        from omnisila.serve.settings import DATABASE, STATE_FOLDER
        from omnisila.serve.store import Store
    except ImportError:
        return frozenset()
    path = out / STATE_FOLDER / DATABASE
    if not path.is_file():
        return frozenset()
    return frozenset(
        decision.video_sha256 for decision in DecisionLog(Store(path)).decisions() if decision.verdict == "accepted"
    )
