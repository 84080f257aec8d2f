"""What Kubernetes accepts as names, labels, quantities and images: KFP passes on what a pod never starts with.

The rules are those of Kubernetes' "Object Names and IDs", "Labels and Selectors", "Extended Resources" and "Resource
Management"; that of images is the reference grammar of the OCI distribution.
"""

import re
from decimal import Decimal, InvalidOperation
from typing import Annotated

from pydantic import AfterValidator

DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
QUALIFIED = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
KEY_OF_DATA = re.compile(r"[-._a-zA-Z0-9]{1,253}")
QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|)")
# KFP's own parser of a task's limits knows fewer forms than Kubernetes.
CPU = re.compile(r"[0-9]+(?:\.[0-9]+)?|[0-9]+m")
MEMORY = re.compile(r"[0-9]+(?:E|Ei|P|Pi|T|Ti|G|Gi|M|Mi|K|Ki)?")
REGISTRY = r"(?:(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?\.)*[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?::[0-9]+)?/)?"
COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
IMAGE = re.compile(
    rf"(?P<name>{REGISTRY}{COMPONENT}(?:/{COMPONENT})*)(?P<tag>:[\w][\w.-]{{0,127}})?(?P<digest>@sha256:[0-9a-f]{{64}})?"
)
LONGEST_SUBDOMAIN = 253
NATIVE_RESOURCES = ("cpu", "memory", "ephemeral-storage", "storage")


def _subdomain(text: str) -> bool:
    return len(text) <= LONGEST_SUBDOMAIN and bool(SUBDOMAIN.fullmatch(text))


def _qualified(text: str) -> bool:
    prefix, slash, name = text.rpartition("/")
    return bool(QUALIFIED.fullmatch(name)) and (not slash or _subdomain(prefix))


def _label_key(text: str) -> str:
    if not _qualified(text):
        raise ValueError(
            f"{text!r} is no key of a label: letters, digits, '-', '_' and '.', 63 at most, such as host-arch"
        )
    return text


def _label_value(text: str) -> str:
    if text and not QUALIFIED.fullmatch(text):
        raise ValueError(f"{text!r} is no value of a label: letters, digits, '-', '_' and '.', 63 at most")
    return text


def _object_name(text: str) -> str:
    if not _subdomain(text):
        raise ValueError(
            f"{text!r} is no name of an object: lower-case letters, digits, '-' and '.', such as my-secret"
        )
    return text


def _data_key(text: str) -> str:
    if not KEY_OF_DATA.fullmatch(text):
        raise ValueError(f"{text!r} is no key of a secret or config map: letters, digits, '-', '_' and '.'")
    return text


def _variable(text: str) -> str:
    if not VARIABLE.fullmatch(text):
        raise ValueError(f"{text!r} is no name of an environment variable")
    return text


def _device_resource(text: str) -> str:
    prefix, slash, _ = text.rpartition("/")
    if not slash or "." not in prefix or not _qualified(text) or prefix.endswith("kubernetes.io"):
        raise ValueError(f"{text!r} is no resource of a device plugin: domain/name, such as huawei.com/Ascend910")
    return text


def quantity(text: str) -> Decimal:
    """A Kubernetes quantity (32Gi, 500m) in units. Raises ValueError where it is none."""
    found = QUANTITY.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is no quantity such as 32Gi, 500m or 8")
    powers = {"m": Decimal("0.001"), "": Decimal(1)}
    decimal = {unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", 1)}
    binary = {f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", 1)}
    try:
        return Decimal(found[1]) * (powers | decimal | binary)[found[2]]
    except InvalidOperation:
        raise ValueError(f"{text!r} is no quantity") from None


def _cpu(text: str) -> str:
    if not CPU.fullmatch(text) or quantity(text) <= 0:
        raise ValueError(f"{text!r} is no number of CPU cores such as 8, 0.5 or 500m")
    return text


def _memory(text: str) -> str:
    # KFP says K where Kubernetes says k.
    if not MEMORY.fullmatch(text) or quantity(text.replace("K", "k") if text.endswith("K") else text) <= 0:
        raise ValueError(f"{text!r} is no amount of memory such as 96Gi")
    return text


def _image(text: str) -> str:
    if not IMAGE.fullmatch(text):
        raise ValueError(f"{text!r} is no image: [registry/]name:tag or [registry/]name@sha256:...")
    return text


def is_pinned(image: str) -> bool:
    """Whether the name of an image has a tag or a digest."""
    found = IMAGE.fullmatch(image)
    return bool(found and (found["tag"] or found["digest"]))


LabelKey = Annotated[str, AfterValidator(_label_key)]
LabelValue = Annotated[str, AfterValidator(_label_value)]
ObjectName = Annotated[str, AfterValidator(_object_name)]
DataKey = Annotated[str, AfterValidator(_data_key)]
Variable = Annotated[str, AfterValidator(_variable)]
DeviceResource = Annotated[str, AfterValidator(_device_resource)]
Cpu = Annotated[str, AfterValidator(_cpu)]
Memory = Annotated[str, AfterValidator(_memory)]
Image = Annotated[str, AfterValidator(_image)]
