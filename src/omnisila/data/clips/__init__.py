"""Short labelled clips as training material: near-duplicates, folds, copies, joins, and their features packed."""
