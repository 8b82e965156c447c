"""The table as NetworkPolicies: ``deploy/kuberay/network.yaml``.

A pod of the head is a ``head``, one of the workers a ``gateway`` and a ``node``. Pods of Kafka, MongoDB and
Redis have policies of their own, which are not ours to write.
"""

from cluster.firewall.table import FLOWS, RAY_NODES, Flow

_HEAD = """\
# Made by `make docs` from cluster/firewall/table.py. Do not edit; change the labels with kustomize.
# The allowed connections. Nothing else gets in or out: whoever reaches a Ray port can run code.
"""
_NAME = "app.kubernetes.io/name: roost"
_OURS = {"head": "head", "gateway": "worker", "node": "worker"}
_PEERS = {
    "anyone": "namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress-nginx}}",
    "prometheus": "namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}",
    "collector": "namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}",
    "resolvers": "namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}",
    "kafka": "podSelector: {matchLabels: {app.kubernetes.io/name: kafka}}",
    "mongo": "podSelector: {matchLabels: {app.kubernetes.io/name: mongodb}}",
    "redis": "podSelector: {matchLabels: {app.kubernetes.io/name: redis}}",
    "public": "ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, "
    "172.16.0.0/12, 192.168.0.0/16]}",
}
_NOT_HERE = frozenset({"ssh", "bootstrap", "time"})
"""Pods have no ssh, and the clock of their machine."""

_OPERATOR = """\
    # KubeRay's operator looks after Ray's head.
    - from:
        - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kuberay-operator}}
      ports:
        - {protocol: TCP, port: 6379}
"""


def network_policies() -> str:
    """Return the file."""
    parts = [_policy("nothing-else", _NAME, "", "")]
    for name, kind in (("nodes", None), ("workers", "worker"), ("head", "head")):
        ins = "".join(_rule("from", flow.sources, flow) for flow in _flows() if kind in _pods(flow.targets))
        outs = "".join(_rule("to", flow.targets, flow) for flow in _flows() if kind in _pods(flow.sources))
        parts.append(_policy(name, _labels(kind), ins + (_OPERATOR if kind == "head" else ""), outs))
    return _HEAD + "---\n".join(parts)


def _flows() -> list[Flow]:
    return [flow for flow in FLOWS if flow.name not in _NOT_HERE]


def _pods(parties: tuple[str, ...]) -> set[str | None]:
    """Return the kinds of pods of ours among these parties: ``{None}`` for all of them."""
    if set(RAY_NODES) <= set(parties):
        return {None}
    return {_OURS[party] for party in parties if party in _OURS}


def _labels(kind: str | None) -> str:
    return _NAME if kind is None else f"{_NAME}, ray.io/node-type: {kind}"


def _rule(word: str, parties: tuple[str, ...], flow: Flow) -> str:
    peers = [f"podSelector: {{matchLabels: {{{_labels(kind)}}}}}" for kind in sorted(_pods(parties), key=str)]
    peers += [_PEERS[party] for party in parties if party in _PEERS]
    lines = [f"    # {flow.why[0].upper()}{flow.why[1:]}.", f"    - {word}:"]
    lines += [*(f"        - {peer}" for peer in peers), "      ports:"]
    for first, last in flow.ports:
        end = "" if first == last else f", endPort: {last}"
        lines.append(f"        - {{protocol: {flow.protocol.upper()}, port: {first}{end}}}")
    return "\n".join(lines) + "\n"


def _policy(name: str, labels: str, ingress: str, egress: str) -> str:
    closed = not ingress + egress
    types = [word for word, rules in (("Ingress", ingress), ("Egress", egress)) if rules or closed]
    rules = (f"  ingress:\n{ingress}" if ingress else "") + (f"  egress:\n{egress}" if egress else "")
    return (
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
        f"metadata: {{name: roost-{name}, namespace: roost}}\n"
        f"spec:\n  podSelector: {{matchLabels: {{{labels}}}}}\n"
        f"  policyTypes: [{', '.join(types)}]\n{rules}"
    )
