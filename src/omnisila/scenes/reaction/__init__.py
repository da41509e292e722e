"""Features of a clip from which the intensity of emotional reactions is read. Source: emotional-reaction paper 4.3."""
