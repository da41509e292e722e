"""FiftyOne's temporal detection data set: a ``labels.json`` that its importer takes as it is.

``fiftyone.types.FiftyOneTemporalDetectionDataset`` with ``labels_path``, and ``data_path`` where paths are relative.
Source: https://docs.voxel51.com/user_guide/import_datasets.html (FiftyOneTemporalDetectionDataset).
"""

import json
from pathlib import PurePosixPath, PureWindowsPath

from omnisila.report.exports import whole_seconds
from omnisila.schema import Analysis

SUFFIX = "fiftyone.json"


def export(analysis: Analysis) -> str:
    """The findings under the video's path; a relative path loses its ending, as the importer looks files up."""
    found = [
        {
            "label": finding.label,
            "timestamps": whole_seconds(finding.span),
            "confidence": finding.score,
            "attributes": {"labels": finding.labels, "cause": finding.cause},
        }
        for finding in analysis.findings
    ]
    return json.dumps({"labels": {_key(analysis.video.path): found}}, ensure_ascii=False, indent=1)


def _key(path: str) -> str:
    if PurePosixPath(path).is_absolute() or PureWindowsPath(path).is_absolute():
        return path
    return str(PurePosixPath(path.replace("\\", "/")).with_suffix(""))
