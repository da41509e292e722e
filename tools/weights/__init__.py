"""Converters of embedded weights: one file a network."""
