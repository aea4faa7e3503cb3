"""What fetches inside of builds, with the network and the place's secrets: runs in the fetcher's image alone.

Nothing here runs code of the frozen image; what comes from that one is data, and read as a stranger's. Python 3.9 and
later, its standard library, and ``packaging``, which stands beside it in ``/tools``.
"""
