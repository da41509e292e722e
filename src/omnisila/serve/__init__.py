"""The review server: people decide on findings in a browser, programs send videos, decisions come out as data.

``app.build_app`` makes the application of ``settings.ServeSettings``. ``library`` indexes a folder of analyses,
``decisions`` is the append-only log from which every state follows, both in one SQLite file (``store``). ``guard``
stands before every route (``routes``); ``static`` is the page: plain modules that load nothing from elsewhere.
"""
