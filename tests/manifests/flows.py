"""Which connections the network policies of a rendering let through."""

from dataclasses import dataclass

from tests.manifests.rendered import Object, of_kind


@dataclass(frozen=True)
class Pod:
    """Pods of one kind: where they are, their labels, and the names of their ports."""

    namespace: str
    labels: tuple[tuple[str, str], ...]
    ports: tuple[tuple[str, int], ...] = ()


def admitted(objects: tuple[Object, ...], source: Pod | None, target: Pod | None, port: int) -> bool:
    """Whether ``source`` may connect to ``port`` of ``target``; None is a place outside the cluster."""
    policies = of_kind(objects, "NetworkPolicy")
    return _side(policies, "egress", source, target, port, target) and _side(
        policies, "ingress", target, source, port, target
    )


def _side(
    policies: list[Object], side: str, subject: Pod | None, peer: Pod | None, port: int, target: Pod | None
) -> bool:
    if subject is None:
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


def _allows_peer(peers: list[Object] | None, namespace: str, pod: Pod | None) -> bool:
    if peers is None:
        return True
    if pod is None:
        return any("ipBlock" in peer for peer in peers)
    for peer in (peer for peer in peers if "ipBlock" not in peer):
        selector = peer.get("namespaceSelector")
        same = pod.namespace == namespace if selector is None else _matches(selector, _namespace_labels(pod.namespace))
        if same and _matches(peer.get("podSelector", {}), dict(pod.labels)):
            return True
    return False


def _namespace_labels(name: str) -> dict[str, str]:
    return {"kubernetes.io/metadata.name": name}


def _allows_port(rule: Object, port: int, target: Pod | None) -> bool:
    names = dict(target.ports) if target else {}
    numbers = [names.get(entry["port"], entry["port"]) for entry in rule.get("ports", [])]
    return port in numbers if "ports" in rule else True
