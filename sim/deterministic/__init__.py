"""Deterministic runs of the rules: many small worlds, each made and disturbed by one seed.

A world is the code that decides (user actors, shards and offsets, routers, the accept path, the
rules of a WebSocket, the client's core) over a network, a log and stores in memory. Nothing in it
happens by itself: one *step* after another is drawn from the seed, and a step says all there is to
know about it. So a run is a list of steps, can be played again, and a failing one can be made shorter.

The way through: ``runner`` plays seeds, ``plan`` draws the world's size, ``steps`` draws and performs what
happens, ``world`` holds everything together (``hosts``, ``routers``, ``gateways`` and ``phones``,
joined by ``links``, which they use by ``reaching``, over ``stores`` and ``logs``), ``settling``
lets a run come to rest, ``invariants`` and ``rest`` say what must hold, ``shrink`` shortens what broke it.
"""
