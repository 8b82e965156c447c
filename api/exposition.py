"""A gateway's metrics for Prometheus: its own, and the values that its parts keep."""

from collections.abc import Mapping

from api.collaborators import Collaborators
from telemetry import gateway_metrics as m
from telemetry.metrics import GATEWAY, WRITER, exposition


def gateway_exposition(collaborators: Collaborators) -> bytes:
    """Return all metrics of this gateway in Prometheus text format."""
    return collaborators.metrics.text(_kept(collaborators)) + exposition(WRITER, GATEWAY)


def gateway_counts(collaborators: Collaborators) -> dict[str, float]:
    """Return what this gateway counted, for `telemetry.role_figures.RoleFigures.counts`."""
    streams, sequencer = collaborators.streams, collaborators.sequencer
    apart: Mapping[str, Mapping[str, float]] = {
        "refused": collaborators.sender.gate.admission.refused,
        "limited": collaborators.limits.hits,
        "ended": streams.ended,
    }
    return {
        "accepted": collaborators.acceptance.accepted,
        "opened": streams.opened,
        "append_failures": sequencer.failures,
        "without_cache": collaborators.answers.failures + collaborators.limits.failed_to_local,
        "changes_lost": collaborators.acceptance.copies.lost + collaborators.key_announcements.lost,
    } | {f"{name}.{label}": count for name, of in apart.items() for label, count in of.items()}


def _kept(collaborators: Collaborators) -> Mapping[m.Kept, float | Mapping[str, float]]:
    sender, sequencer, gate = collaborators.sender, collaborators.sequencer, collaborators.sender.gate
    return {
        m.STREAMS_OPEN: len(collaborators.streams),
        m.STREAMS_OPENED: collaborators.streams.opened,
        m.STREAMS_ENDED: collaborators.streams.ended,
        m.STREAMS_REATTACHED: collaborators.hosts.attachments.reattached,
        m.MESSAGES_ACCEPTED: collaborators.acceptance.accepted,
        m.SENDS_REFUSED: gate.admission.refused,
        m.SENDS_OPEN: gate.admission.inside,
        m.SENDS_OPEN_BYTES: gate.admission.size,
        m.SENDS_OLDEST: sender.oldest_s,
        m.ACCEPT_WAIT: gate.admission.accept_wait_s(),
        m.DELIVER_WAIT: gate.deliver_wait_s(),
        m.ACCEPT_CACHE_FAILURES: collaborators.answers.failures,
        m.COPIES_LOST: collaborators.acceptance.copies.lost,
        m.LOG_APPEND_FAILURES: sequencer.failures,
        m.LOG_RESYNCS: sequencer.resyncs,
        m.LIMITER_HITS: collaborators.limits.hits,
        m.LIMITS_LOCAL: collaborators.limits.failed_to_local,
        m.KEY_CHANGES_LOST: collaborators.key_announcements.lost,
    }
