"""Which connections the network policies of a rendering let through."""

import ipaddress
from dataclasses import dataclass

from tests.manifests.rendered import Object, of_kind


@dataclass(frozen=True)
class Pod:
    """Pods of one kind: where they are, their labels, and the names of their ports."""

    namespace: str
    labels: tuple[tuple[str, str], ...]
    ports: tuple[tuple[str, int], ...] = ()


# Of no machine: https://www.rfc-editor.org/rfc/rfc5737
OUTSIDE = "203.0.113.1"
# A pod, an address that is none of a pod, or any place outside the cluster.
Peer = Pod | str | None


def admitted(objects: tuple[Object, ...], source: Peer, target: Peer, port: int) -> bool:
    """Whether ``source`` may connect to ``port`` of ``target``."""
    policies = of_kind(objects, "NetworkPolicy")
    names = dict(target.ports) if isinstance(target, Pod) else {}
    sides = (("egress", "to", source, target), ("ingress", "from", target, source))
    return all(_side(policies, *side, port, names) for side in sides)


def _side(
    policies: list[Object], side: str, peers: str, subject: Peer, peer: Peer, port: int, names: dict[str, int]
) -> bool:
    if not isinstance(subject, Pod):
        return True
    binding = [
        policy
        for policy in policies
        if policy["metadata"]["namespace"] == subject.namespace
        and side.capitalize() in policy["spec"]["policyTypes"]
        and _matches(policy["spec"]["podSelector"], dict(subject.labels))
    ]
    return not binding or any(
        ("ports" not in rule or port in [names.get(entry["port"], entry["port"]) for entry in rule["ports"]])
        and (peers not in rule or any(_is_peer(entry, subject.namespace, peer) for entry in rule[peers]))
        for policy in binding
        for rule in policy["spec"].get(side, [])
    )


def _is_peer(entry: Object, namespace: str, peer: Peer) -> bool:
    """Whether an entry of a policy's peers, of a policy in ``namespace``, is ``peer``."""
    if "ipBlock" in entry or not isinstance(peer, Pod):
        if "ipBlock" not in entry or isinstance(peer, Pod):
            return False
        here, block = ipaddress.ip_address(peer or OUTSIDE), entry["ipBlock"]
        excepted = any(here in ipaddress.ip_network(network) for network in block.get("except", []))
        return here in ipaddress.ip_network(block["cidr"]) and not excepted
    of_namespace = {"kubernetes.io/metadata.name": peer.namespace}
    same = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    return _matches(entry.get("namespaceSelector", same), of_namespace) and _matches(
        entry.get("podSelector", {}), dict(peer.labels)
    )


def _matches(selector: Object, labels: dict[str, str]) -> bool:
    assert set(selector) <= {"matchLabels"}, "only matchLabels are understood here"
    return bool(selector.get("matchLabels", {}).items() <= labels.items())
