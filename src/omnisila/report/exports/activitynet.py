"""ActivityNet's form of detection results, which most scorers of temporal localisation take.

A video's key is its file name without the ending, as ActivityNet's own; ``labels`` and ``cause`` are additions to the
form that scorers pass over.
Source: http://activity-net.org/challenges/2016/evaluation.html (Caba Heilbron et al., CVPR 2015).
"""

import json
from pathlib import PurePath

from omnisila.report.exports import whole_seconds
from omnisila.schema import Analysis

SUFFIX = "activitynet.json"
_VERSION = "VERSION 1.3"


def export(analysis: Analysis) -> str:
    """The findings under the video's name; a video without findings has an empty list."""
    found = [
        {
            "label": finding.label,
            "score": finding.score,
            "segment": whole_seconds(finding.span),
            "labels": finding.labels,
            "cause": finding.cause,
        }
        for finding in analysis.findings
    ]
    used = {"used": True, "details": f"{analysis.model.name} {analysis.model.version}"}
    file = {
        "version": _VERSION,
        "results": {PurePath(analysis.video.path.replace("\\", "/")).stem: found},
        "external_data": used,
    }
    return json.dumps(file, ensure_ascii=False, indent=1)
