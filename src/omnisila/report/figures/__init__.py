"""Figures of scores and predictions, one file a figure, drawn by matplotlib (extra ``evaluate``)."""
