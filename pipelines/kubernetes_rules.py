"""Rules of Kubernetes for names, labels, quantities and images: KFP passes on what a pod never starts with.

The rules are those of Kubernetes' "Object Names and IDs", "Labels and Selectors", "Extended Resources" and "Resource
Management"; that of images is the reference grammar of the OCI distribution.
"""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from kubernetes.utils.quantity import parse_quantity
from pydantic import AfterValidator, BeforeValidator

from components.common.image_list import IMAGE

WORD = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
# Of 253 characters at most.
SUBDOMAIN = rf"(?=.{{1,253}}(?:/|$)){LABEL}(?:\.{LABEL})*"
# KFP's own parser of a task's limits knows fewer forms than Kubernetes, and says K where Kubernetes says k.
CPU = r"[0-9]+(?:\.[0-9]+)?|[0-9]+m"
MEMORY = r"[0-9]+(?:E|Ei|P|Pi|T|Ti|G|Gi|M|Mi|K|Ki)?"
# A pod without Argo's or KFP's labels is lost to them, and one without ours, or KFP's, to network policies.
NOT_YOURS = r"(?!workflows\.argoproj\.io/|pipelines\.kubeflow\.org/|pipeline/|app\.kubernetes\.io/(?:name|part-of)$)"


def _rule(pattern: str | re.Pattern[str], said: str, also: Callable[[str], bool] = lambda _: True) -> AfterValidator:
    """Return what refuses a text that is not of ``pattern``, or not as ``also`` wants it: "'X' is no ...", as said."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text) or not also(text):
            raise ValueError(f"{text!r} is no {said}")
        return text

    return AfterValidator(check)


def _require_text(value: Any) -> Any:
    if isinstance(value, bool | int | float):
        raise ValueError(f'{value} is no text: write it in quotes, "{str(value).lower()}"')
    return value


def is_pinned(image: str) -> bool:
    """Return whether the name of an image has a tag or a digest."""
    found = IMAGE.fullmatch(image)
    return bool(found and (found["tag"] or found["digest"]))


def _is_positive(text: str) -> bool:
    return bool(parse_quantity(text.replace("K", "k") if text.endswith("K") else text) > 0)


# Names of pipelines, tasks and their pods are made of it.
Name = Annotated[
    str, _rule(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", "name: lower-case letters, digits and single hyphens, such as cpu-tf1")
]
CHARACTERS = "letters, digits, '-', '_' and '.'"
LabelKey = Annotated[
    str,
    _rule(rf"(?:{SUBDOMAIN}/)?{WORD}", f"key of a label or annotation: {CHARACTERS}, 63 at most, such as host-arch"),
]
LabelValue = Annotated[
    str, BeforeValidator(_require_text), _rule(rf"(?:{WORD})?", f"value of a label: {CHARACTERS}, 63 at most")
]
PodKey = Annotated[LabelKey, _rule(rf"{NOT_YOURS}.*", "key to set: it is Argo's, KFP's or this software's own")]
PodLabels = Mapping[PodKey, LabelValue]
# Argo takes double braces for variables of its own.
AnnotationValue = Annotated[
    str,
    BeforeValidator(_require_text),
    _rule(r"(?!.*\{\{)[^\x00-\x1f\x7f]*", "value of an annotation: one line, without {{"),
]
PodAnnotations = Mapping[PodKey, AnnotationValue]
ObjectName = Annotated[
    str, _rule(SUBDOMAIN, "name of an object: lower-case letters, digits, '-' and '.', such as my-secret")
]
DataKey = Annotated[str, _rule(r"[-._a-zA-Z0-9]{1,253}", f"key of a secret or config map: {CHARACTERS}")]
Variable = Annotated[str, _rule(r"[A-Za-z_][A-Za-z0-9_]*", "name of an environment variable")]
DeviceResource = Annotated[
    str,
    _rule(
        rf"(?=[^/]*\.)(?![^/]*kubernetes\.io/){SUBDOMAIN}/{WORD}",
        "resource of a device plugin: domain/name, such as huawei.com/Ascend910",
    ),
]
Cpu = Annotated[str, _rule(CPU, "number of CPU cores such as 8, 0.5 or 500m", _is_positive)]
Memory = Annotated[str, _rule(MEMORY, "amount of memory such as 96Gi", _is_positive)]
Image = Annotated[str, _rule(IMAGE, "image: [registry/]name:tag or [registry/]name@sha256:...")]
