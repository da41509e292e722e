"""The command line: one file a command; heavy imports wait until a command runs, so that ``--help`` stays fast."""

from omnisila.cli.app import main

__all__ = ["main"]
