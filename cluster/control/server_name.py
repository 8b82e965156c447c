"""The server name that the data belongs to: every key in it is signed for addresses that end in this."""

from storage.ports import ClusterState


class ServerNameMismatch(Exception):  # noqa: N818 -- named for what happened
    """The data belongs to another server name; the sentence says which."""


async def check(cluster: ClusterState, wanted: str) -> None:
    """Claim the data for this name at the first start; refuse another one later.

    Raises:
        ServerNameMismatch: It belongs to another one.
    """
    if (first := await cluster.claim_server_name(wanted)) != wanted:
        raise ServerNameMismatch(
            f"This data belongs to the server name {first}, and ROOST_SERVER_NAME is {wanted}: every key "
            f"in it is signed for {first}. Set ROOST_SERVER_NAME={first}, or choose other data."
        )
