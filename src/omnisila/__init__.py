"""omnisila: what sentiment or anomalous event a video conveys, when, and why."""

__version__ = "0.1.0"
