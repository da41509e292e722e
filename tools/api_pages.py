"""A hook of mkdocs: one page of the API reference for each room of the package, and one for what all rooms stand on."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "omnisila"
CORE = "core"


def pages() -> dict[str, str]:
    """Name of a page -> its text, which mkdocstrings fills; commands have their own help."""
    rooms = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py") if path.parent.name != "cli")
    modules = sorted(path.stem for path in PACKAGE.glob("*.py") if not path.stem.startswith("__"))
    core = "\n\n".join(["::: omnisila", *(f"::: omnisila.{module}" for module in modules)])
    text = {CORE: f"# omnisila\n\nEntry points, records, label sets, and what all rooms stand on.\n\n{core}\n"}
    for room in rooms:
        text[room] = f"# omnisila.{room}\n\n::: omnisila.{room}\n    options:\n      show_submodules: true\n"
    return text


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    config.nav = [*(config.nav or ()), {"API": [{name: f"api/{name}.md"} for name in pages()]}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for name, text in pages().items():
        files.append(File.generated(config, f"api/{name}.md", content=text))
    return files
