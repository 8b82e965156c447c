"""Deterministic runs of the control plane: the real classes on an event loop with virtual time.

The coordinator with all its parts, routers, pushers and every role's fence are the real ones. Around them
are machines and processes that start slowly, hang, die and are cut off, servers that are away, late or lose
replies, operators, and people who write. One *step* after another is drawn from the seed, as in the runs of
the rules; a step does something and lets time pass.

The way through: ``runner`` plays a seed, ``steps`` draws and performs what happens, ``world`` holds
everything together (``fleet`` and ``process``, ``services`` in them, ``links`` between those; ``store`` and
``log`` behind the ``network``; ``operators``), on the loop of ``virtual_time``. ``truth`` says what must
hold, ``settling`` lets a run come to rest.
"""
