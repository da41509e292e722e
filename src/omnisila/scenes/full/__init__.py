"""The full profile: the extractors that Omni-SILA names, with the user's own checkpoints."""
