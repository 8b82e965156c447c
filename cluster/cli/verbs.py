"""Options of the operator's verbs that name a running system, and the way to its coordinator."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cluster.folders import of_another
from cluster.local import runfile
from cluster.local.environment import set_for_libraries
from cluster.local.ray_tls import check, ray_tls
from cluster.settings import Settings, SettingsInvalid


def find_by(parser: argparse.ArgumentParser) -> None:
    """Declare how a running system is found: ``--data`` and ``--address``."""
    parser.add_argument("--data", metavar="DIR", help="data folder of a system on this machine (./data)")
    parser.add_argument(
        "--address", metavar="HOST:PORT", help="Ray cluster that it runs on (`auto`: this machine's)"
    )


def found_by(args: argparse.Namespace) -> Settings:
    """Return the settings, with what ``--data`` and ``--address`` say.

    Raises:
        SettingsInvalid: The settings are wrong, or the data folder is another user's.
    """
    changes: dict[str, Any] = {}
    if args.data is not None:
        changes["data"] = args.data
    if args.address is not None:
        changes["cluster"] = {"address": args.address}
    settings = Settings.load(changes)
    if (refusal := of_another(settings.data)) is not None:
        raise SettingsInvalid(" ".join(refusal))
    return settings


def again(settings: Settings) -> str:
    """Return the options with which another verb finds the same system, for sentences that name one."""
    options = {"--data": ("data", settings.data), "--address": ("cluster.address", settings.cluster.address)}
    return "".join(
        f" {option} {value}"
        for option, (name, value) in options.items()
        if settings.origins.get(name) == "argument"
    )


@contextmanager
def coordinator(settings: Settings) -> Iterator[Callable[[], Any]]:
    """Join the Ray cluster of the settings, or of their data folder; inside, a call finds the coordinator.

    Raises:
        Unavailable: Nothing runs with this data folder, or there is no such cluster.
    """
    from cluster.local.ray_head import COORDINATOR, prepare_ray  # noqa: PLC0415 -- loads what `down` does not need

    set_for_libraries(ray_tls(settings.node))
    address = settings.cluster.address
    if address is None:
        address = runfile.found(settings.data).ray
        check(address, settings.node)
        prepare_ray(settings.data)
    from actors.ray_actor import connect_ray, find, leave_ray  # noqa: PLC0415 -- after `prepare_ray`

    connect_ray(address)
    try:
        yield lambda: find(COORDINATOR, COORDINATOR)
    finally:
        leave_ray()
