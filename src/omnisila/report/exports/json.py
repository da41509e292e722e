"""JSON: the whole analysis, as ``schema.Analysis`` documents it. The only format that loses nothing."""

from omnisila.schema import Analysis

SUFFIX = "json"


def export(analysis: Analysis) -> str:
    """The analysis as one JSON object."""
    return analysis.model_dump_json()
