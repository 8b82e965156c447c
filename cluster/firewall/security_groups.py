"""The table as AWS security groups, in Terraform's JSON: a group for each kind of machine."""

import json
from collections.abc import Iterator
from typing import Any

from cluster.firewall.table import GROUPS, MACHINES, Flow, into, out_of

_ANYWHERE = (("4", "cidr_ipv4", "0.0.0.0/0"), ("6", "cidr_ipv6", "::/0"))
_OTHERS = [group for group in GROUPS if group not in MACHINES]


def terraform() -> str:
    """Return the file."""
    groups = {
        machine: {
            "name": f"roost-{machine}",
            "description": f"Roost: {machine}",
            "vpc_id": "${var.vpc_id}",
        }
        for machine in MACHINES
    }
    made = {
        "//": "Made by `make docs` from cluster/firewall/table.py. Do not edit.",
        "variable": {
            "vpc_id": {"type": "string"},
            **{
                other: {"type": "set(string)", "default": [], "description": f"Networks of the {other}."}
                for other in _OTHERS
            },
        },
        "resource": {
            "aws_security_group": groups,
            "aws_vpc_security_group_ingress_rule": dict(_all("in")),
            "aws_vpc_security_group_egress_rule": dict(_all("out")),
        },
    }
    return json.dumps(made, indent=2) + "\n"


def _all(way: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for machine in MACHINES:
        for flow in into(machine) if way == "in" else out_of(machine):
            for other in flow.sources if way == "in" else flow.targets:
                for number, ports in enumerate(flow.ports):
                    name = f"{machine}_{way}_{flow.name}_{other}_{number}".replace(" ", "_")
                    for suffix, rule in _rules(flow, ports, other):
                        yield (
                            name + suffix,
                            rule | {"security_group_id": f"${{aws_security_group.{machine}.id}}"},
                        )


def _rules(flow: Flow, ports: tuple[int, int], other: str) -> Iterator[tuple[str, dict[str, Any]]]:
    rule: dict[str, Any] = {
        "description": flow.why.replace("`", ""),
        "ip_protocol": flow.protocol,
        "from_port": ports[0],
        "to_port": ports[1],
    }
    if other in MACHINES:
        yield "", rule | {"referenced_security_group_id": f"${{aws_security_group.{other}.id}}"}
    elif other in _OTHERS:
        yield "", rule | {"for_each": f"${{var.{other}}}", "cidr_ipv4": "${each.value}"}
    else:
        for suffix, member, network in _ANYWHERE:
            yield suffix, rule | {member: network}
