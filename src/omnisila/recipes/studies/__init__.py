"""What recipes are worth: folds, measures, calibration, cards."""
