"""JSON: the whole analysis, as ``schema.Analysis`` documents it. The only format that loses nothing."""

from pydantic import ValidationError

from omnisila.config import first_fault
from omnisila.errors import RecordError
from omnisila.schema import Analysis

SUFFIX = "json"


def export(analysis: Analysis) -> str:
    """The analysis as one JSON object."""
    return analysis.model_dump_json()


def read(text: str) -> Analysis:
    """The analysis that ``export`` wrote.

    Raises:
        RecordError: not such an analysis; the message names the first field that is wrong.
    """
    try:
        return Analysis.model_validate_json(text)
    except ValidationError as error:
        raise RecordError(
            f"analysis JSON: {first_fault(error, at='the file')}. Give a file that omnisila wrote."
        ) from None
