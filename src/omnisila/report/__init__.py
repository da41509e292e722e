"""What a person reads: the page of a video, the index of a run, and the formats for other programs (``exports``)."""
