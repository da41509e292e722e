"""From published annotations or labelled footage to examples in one format."""
