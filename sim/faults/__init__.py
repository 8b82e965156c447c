"""Faults: what may happen to a system, when, and what must hold all the same.

`profiles` names them and `schedule` draws when they strike (both pure), `system` is what they happen
to, `strike` lets one happen and waits until all is well again.
"""
