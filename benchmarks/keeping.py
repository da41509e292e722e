"""What a benchmark measured, shown and kept in one form. They run from the root: ``python -m benchmarks.NAME``."""

import json
from pathlib import Path

from omnisila.files import write_atomically


def keep_result(result: object, out: Path | None) -> None:
    """Print a result as JSON, and write it where it is to be kept."""
    text = json.dumps(result, indent=2) + "\n"
    if out is not None:
        write_atomically(out, text)
    print(text, end="", flush=True)
