"""What commands say to people: one line a call, in which nothing that a file's name may hold acts on the terminal."""

from collections.abc import Callable

import typer

from omnisila.files import printable


def tell(line: str, *, err: bool = False) -> None:
    """Print a line."""
    typer.echo(printable(line), err=err)


def teller(quiet: bool) -> Callable[[str], None]:
    """Of what is going on, on standard error; nothing is said where only errors are wanted."""
    return (lambda _: None) if quiet else lambda line: tell(line, err=True)
