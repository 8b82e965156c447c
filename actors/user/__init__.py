"""The actor of one user: what happens to it goes in as events, what is to be done comes out as effects.

Here lives: which records become entries, what is a repeat, what each stream gets and when, what
peers are told. Not here: no I/O, no clock, no randomness, no Ray. Given the same events the actor
gives the same effects, so a replay of the log writes the same documents.

Before `handle` the host asks `lacks`: what the event needs to know from the stores first. It looks
that up, says it with `learn`, and asks again.
"""

from actors.user.actor import UserActor

__all__ = ["UserActor"]
