"""The commands as a user runs them, in this process, with the embedded model and a cache of their own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from omnisila.cli.app import app


@pytest.fixture(scope="session")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMNISILA_CACHE", str(folder))
        yield folder


@pytest.fixture
def omnisila(cache_folder: Path) -> Callable[..., Result]:
    """``omnisila("analyze", path, "--out", folder)`` runs a command; the result has exit_code, stdout and stderr."""
    del cache_folder  # set as the environment's

    def run(*arguments: str | Path) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=True)

    return run
