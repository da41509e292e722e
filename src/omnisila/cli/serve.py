"""``omnisila serve``: a local web page on which people decide about findings, and an interface for programs."""

from pathlib import Path
from typing import Annotated

import typer

from omnisila.cli.telling import tell


def serve(
    reports: Annotated[
        Path, typer.Argument(metavar="REPORTS", help="Folder of analyses, as analyze writes them.", file_okay=False)
    ],
    videos: Annotated[
        list[Path] | None,
        typer.Option(help="A folder that videos are played from; may be repeated [the current folder]."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen at; any but a loopback address asks everybody for a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8765,
    user: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME or NAME:ROLE (viewer, reviewer, admin), who gets a link with a token; may be repeated. Without "
            "it, whoever reaches this machine's own address is let in under your login name."
        ),
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="Folder of decisions and previews [REPORTS/.omnisila/review].")
    ] = None,
    blur_faces: Annotated[bool, typer.Option("--blur-faces", help="Show nothing but previews with blurred faces.")] = (
        False
    ),
    base_path: Annotated[
        str, typer.Option(help="Path below which a reverse proxy shows the page, such as /omni.")
    ] = "",
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A host name that the page is asked for under; may be repeated.")
    ] = None,
    trusted_origin: Annotated[
        list[str] | None,
        typer.Option(help="Origin of a reverse proxy, such as https://review.example; may be repeated."),
    ] = None,
    fetch_from: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST",
            help="Host that programs may have videos fetched from, subdomains included; may be repeated [none]. A "
            "machine inside your network only by its address.",
        ),
    ] = None,
    retain_days: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Take away analyses all of whose findings have been rejected for so many days; never one with an "
            "undecided or accepted finding, never a video or a decision [keep all].",
        ),
    ] = None,
) -> None:
    """Review findings in a browser: accept, reject, adjust, relabel, rate, add. Nothing decided is ever lost.

    Exit status: 0 stopped by Ctrl-C, 2 wrong usage.
    """
    from pydantic import ValidationError

    from omnisila.config import first_fault
    from omnisila.errors import InputError, needing
    from omnisila.files import check_writable
    from omnisila.serve.accounts import invite, local_name, parse_user
    from omnisila.serve.settings import ServeSettings, User, is_loopback

    if not reports.is_dir():
        raise InputError(f"{reports}: no such folder. Give the --out folder of omnisila analyze.")
    name = local_name()
    users = [parse_user(said) for said in user or ([] if is_loopback(host) else [f"{name}:admin"])]
    invited = invite(users, state or reports / ".omnisila/review") if users else ()
    try:
        settings = ServeSettings(
            reports=reports, videos=tuple(videos or [Path()]), state=state, host=host, port=port,
            hosts=tuple(allow_host or ()), trusted_origins=tuple(trusted_origin or ()), base_path=base_path,
            accounts=tuple(guest.account for guest in invited), local_user=User(name=name, role="admin"),
            blur_faces=blur_faces, fetch_from=tuple(fetch_from or ()), retain_days=retain_days,
        )  # fmt: skip
    except ValidationError as error:
        raise InputError(f"omnisila serve: {first_fault(error)}.") from None
    check_writable(settings.state_folder)

    with needing(None, "the review server", "serve"):
        from omnisila.serve.app import run

    run(settings, invited, tell)
