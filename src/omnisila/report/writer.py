"""The files of a report: one writer a format, and the index of a run."""

from collections.abc import Iterable, Mapping
from os.path import relpath
from pathlib import Path
from urllib.parse import quote

from omnisila.errors import InputError
from omnisila.inference.batch import Outcome, Writer, output_path
from omnisila.inference.inputs import Input
from omnisila.report.exports import exporter, formats
from omnisila.schema import Analysis

PAGE = "html"
