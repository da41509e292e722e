"""Short labelled clips: manifests, near-duplicates, folds, copies, joins, and their features packed for training."""
