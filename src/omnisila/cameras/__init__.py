"""A fixed camera's own normal: what its ordinary footage holds, and how unlike it something else is.

``camera`` is the file and what it says; ``footage`` reads one video's statistics, ``tails`` turns a wanted number of
false alarms an hour into thresholds, ``sightings`` and ``likeness`` describe windows, ``unusual`` finds what never was.
A live stream asks the same objects window by window as an analysis of a file does.
"""
