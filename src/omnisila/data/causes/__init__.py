"""Causes: what evidence says in words, what a model behind an endpoint writes, and what people make of it."""
