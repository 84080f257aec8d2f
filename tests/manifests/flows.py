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
    return _side(policies, "egress", source, target, port, target) and _side(
        policies, "ingress", target, source, port, target
    )


def _side(policies: list[Object], side: str, subject: Peer, peer: Peer, port: int, target: Peer) -> bool:
    if not isinstance(subject, Pod):
        return True
    binding = [policy for policy in policies if _selects(policy, side, subject)]
    if not binding:
        return True
    rules = [(policy, rule) for policy in binding for rule in policy["spec"].get(side, [])]
    peers = "to" if side == "egress" else "from"
    return any(
        _allows_peer(rule.get(peers), policy["metadata"]["namespace"], peer) and _allows_port(rule, port, target)
        for policy, rule in rules
    )


def _selects(policy: Object, side: str, pod: Pod) -> bool:
    return (
        policy["metadata"]["namespace"] == pod.namespace
        and side.capitalize() in policy["spec"]["policyTypes"]
        and _matches(policy["spec"]["podSelector"], dict(pod.labels))
    )


def _matches(selector: Object, labels: dict[str, str]) -> bool:
    assert set(selector) <= {"matchLabels"}, "only matchLabels are understood here"
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


def _allows_peer(peers: list[Object] | None, namespace: str, pod: Peer) -> bool:
    if peers is None:
        return True
    if not isinstance(pod, Pod):
        return any(_in_block(pod or OUTSIDE, peer["ipBlock"]) for peer in peers if "ipBlock" in peer)
    for peer in [peer for peer in peers if "ipBlock" not in peer]:
        selector = peer.get("namespaceSelector")
        same = pod.namespace == namespace if selector is None else _matches(selector, _namespace_labels(pod.namespace))
        if same and _matches(peer.get("podSelector", {}), dict(pod.labels)):
            return True
    return False


def _in_block(address: str, block: Object) -> bool:
    here = ipaddress.ip_address(address)
    excepted = any(here in ipaddress.ip_network(network) for network in block.get("except", []))
    return here in ipaddress.ip_network(block["cidr"]) and not excepted


def _namespace_labels(name: str) -> dict[str, str]:
    return {"kubernetes.io/metadata.name": name}


def _allows_port(rule: Object, port: int, target: Peer) -> bool:
    names = dict(target.ports) if isinstance(target, Pod) else {}
    numbers = [names.get(entry["port"], entry["port"]) for entry in rule.get("ports", [])]
    return port in numbers if "ports" in rule else True
