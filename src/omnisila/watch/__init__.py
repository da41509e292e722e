"""Live streams: a reader thread a camera, the same locating as ``analyze``, findings that open and close, notices.

``watching.Watch`` joins the parts: ``reader`` fills a ``frame_queue``, ``locating`` makes findings of its frames,
``camera`` writes what they are to the disk (``events``, ``ring``), ``outbox`` tells others.
"""
