"""Pushed images as a component of kustomize: a site that lists it runs them, and its retrain job compares with them."""

from pathlib import Path
from typing import Any

import yaml

from components.common.files import write_file
from components.common.image_list import REPOSITORY, read_images, write_images

FILE = "images.json"
MOUNT = "/etc/dualgan-parity"
CONFIG_MAP = "dualgan-parity-images"
POD = "/spec/jobTemplate/spec/template/spec"


def write_component(images_file: Path, folder: Path) -> Path:
    """Write a copy of ``images_file`` into ``folder``, and beside it the kustomization, whose path is returned."""
    images = read_images(images_file).values()
    container = f"{POD}/containers/0"
    additions: dict[str, list[Any]] = {
        f"{container}/args/-": ["--images", f"{MOUNT}/{FILE}"],
        f"{container}/volumeMounts/-": [{"name": "images", "mountPath": MOUNT, "readOnly": True}],
        f"{POD}/volumes/-": [{"name": "images", "configMap": {"name": CONFIG_MAP}}],
    }
    patch = [{"op": "add", "path": path, "value": value} for path, values in additions.items() for value in values]
    content = {
        "apiVersion": "kustomize.config.k8s.io/v1alpha1",
        "kind": "Component",
        "images": [
            {"name": f"{REPOSITORY}/{image.name}", "newName": image.repository, "digest": image.digest}
            for image in images
        ],
        "configMapGenerator": [
            {
                "name": CONFIG_MAP,
                "namespace": "kubeflow",
                "files": [FILE],
                "options": {"disableNameSuffixHash": True},
            }
        ],
        "patches": [
            {
                "target": {"kind": "CronJob", "name": "dualgan-parity-retrain"},
                "patch": yaml.safe_dump(patch, sort_keys=False),
            }
        ],
        "labels": [{"pairs": {"app.kubernetes.io/part-of": REPOSITORY}}],
    }
    write_images(folder / FILE, images)
    kustomization = folder / "kustomization.yaml"
    first_line = "# Written by `python -m images component`, from images.json beside it.\n"
    write_file(kustomization, first_line + yaml.safe_dump(content, sort_keys=False))
    return kustomization
