"""``analyze`` at scale: any number of inputs, from and to any storage, each with exactly one end.

``listing`` says what the inputs are, ``running.run_batch`` gives those without an end to an engine (``engines``: Ray
Data or the process pool), ``work.Work`` brings one to its end in a child process, and ``ledger`` holds the ends.
"""
