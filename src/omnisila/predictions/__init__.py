"""Predictions of any system, read from its files: ours, those of other tools, and findings that people corrected."""
