"""The table as rules of nftables, a file for each kind of machine.

``base.nft`` refuses everything; each kind's file adds what it lets in and out, so that a machine of two kinds
loads both. ``addresses.nft`` is the operator's.
"""

from collections.abc import Iterator

from cluster.firewall.table import GROUPS, MACHINES, Flow, Machine, into, out_of, shown

_HEAD = "# Made by `make docs` from cluster/firewall/table.py. Do not edit.\n"
_PRIVATE = ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")
_PUBLIC6 = "2000::/3"

_CHAIN = """\
    chain {name} {{
        type filter hook {name} priority filter; policy drop;
        ct state established,related accept
        ct state invalid drop
        {loopback} "lo" accept
        meta l4proto {{ icmp, icmpv6 }} limit rate 100/second accept
    }}
"""

_ADDRESSES = """\
# Who has which address: yours to fill in, on every machine the same. Load with: nft -f roost.nft
# A list may have networks (10.0.3.0/24) and stay empty.
"""


def files() -> dict[str, str]:
    """Return every file by name."""
    made = {"base.nft": base(), "addresses.nft": addresses(), "roost.nft": main()}
    return made | {f"{machine}.nft": rules(machine) for machine in MACHINES}


def base() -> str:
    """Return what refuses everything, and the empty lists of addresses."""
    sets = [
        f"    set {group}{suffix} {{ type {kind}; flags interval; }}\n"
        for group in GROUPS
        for suffix, kind in (("", "ipv4_addr"), ("6", "ipv6_addr"))
    ]
    chains = [
        _CHAIN.format(name="input", loopback="iif"),
        _CHAIN.format(name="output", loopback="oif"),
        "    chain forward {\n        type filter hook forward priority filter; policy drop;\n    }\n",
    ]
    inside = "".join(sets + chains)
    return f"{_HEAD}table inet roost\ndelete table inet roost\n\ntable inet roost {{\n{inside}}}\n"


def main() -> str:
    """Return the file that a machine loads."""
    kinds = "".join(f'# include "./{machine}.nft"\n' for machine in MACHINES)
    return (
        "# What a machine loads, at once or not at all: nft -f roost.nft\n"
        "# Take the mark off the kinds that it is.\n"
        f'include "./base.nft"\ninclude "./addresses.nft"\n{kinds}'
    )


def addresses() -> str:
    """Return the operator's file, with addresses for examples."""
    lines = [f"add element inet roost {group} {{ 10.0.{at}.0/24 }}\n" for at, group in enumerate(GROUPS)]
    return f"{_ADDRESSES}{''.join(lines)}# add element inet roost gateway6 {{ fd00::/64 }}\n"


def rules(machine: Machine) -> str:
    """Return what a machine of one kind lets in and out."""
    lines = [f"{_HEAD}table inet roost {{\n    chain input {{\n"]
    lines += [f"        {rule}\n" for flow in into(machine) for rule in _rules(flow, "saddr", flow.sources)]
    lines += ["    }\n    chain output {\n"]
    lines += [f"        {rule}\n" for flow in out_of(machine) for rule in _rules(flow, "daddr", flow.targets)]
    return "".join([*lines, "    }\n}\n"])


def _rules(flow: Flow, side: str, others: tuple[str, ...]) -> Iterator[str]:
    """Yield a rule for each family and party at the other end."""
    ports = f"{flow.protocol} dport {{ {', '.join(shown(flow.ports))} }}"
    said = f'accept comment "{flow.name}"'
    for other in others:
        if other == "anyone":
            yield f"{ports} {said}"
        elif other == "public":
            yield f"ip {side} != {{ {', '.join(_PRIVATE)} }} {ports} {said}"
            yield f"ip6 {side} {_PUBLIC6} {ports} {said}"
        else:
            yield f"ip {side} @{other} {ports} {said}"
            yield f"ip6 {side} @{other}6 {ports} {said}"
