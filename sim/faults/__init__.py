"""Faults: their profiles, their schedule, and the system that they strike.

`profiles` names them and `schedule` draws when they strike (both pure), `system` is what they happen
to, `strike` lets one happen and waits until all is well again.
"""
