"""From data sets to a run folder: the model, its thresholds and its card."""
