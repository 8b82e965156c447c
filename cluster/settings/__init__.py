"""Settings: read once, in the command that an operator started, and frozen from there on.

Roles are handed the value as JSON, so that no process depends on the environment or folder that it runs in. A
setting is a field of a group in `clients`, `servers`, `security` or `roles`; `sources` alone reads
environment and file.
"""

from cluster.settings.clients import Rate
from cluster.settings.group import Group
from cluster.settings.mailboxes import Quota, Retention
from cluster.settings.node import Node
from cluster.settings.push import WebPush
from cluster.settings.roles import Cluster, Log, Telemetry
from cluster.settings.security import KafkaSecurity, Security
from cluster.settings.servers import Fcm, Kafka, Mongo, Redis, url_host, without_password
from cluster.settings.settings import Settings
from cluster.settings.sources import FILE, PREFIX, SettingsInvalid, variable

__all__ = [
    "FILE",
    "PREFIX",
    "Cluster",
    "Fcm",
    "Group",
    "Kafka",
    "KafkaSecurity",
    "Log",
    "Mongo",
    "Node",
    "Quota",
    "Rate",
    "Redis",
    "Retention",
    "Security",
    "Settings",
    "SettingsInvalid",
    "Telemetry",
    "WebPush",
    "url_host",
    "variable",
    "without_password",
]
