"""omnisila: what sentiment or anomalous event a video conveys, when, and why.

>>> analysis = omnisila.load("compact").analyze("video.mp4")
>>> [(finding.label, finding.span.start_s, finding.cause) for finding in analysis.findings]
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omnisila.inference.load import load as load
    from omnisila.inference.settings import AnalyzerConfig as AnalyzerConfig

__version__ = "0.1.0"
__all__ = ["AnalyzerConfig", "load"]


def __getattr__(name: str) -> object:
    """Imported on first use, so that ``import omnisila`` stays fast."""
    if name == "load":
        from omnisila.inference.load import load

        return load
    if name == "AnalyzerConfig":
        from omnisila.inference.settings import AnalyzerConfig

        return AnalyzerConfig
    raise AttributeError(f"module 'omnisila' has no attribute {name!r}")
