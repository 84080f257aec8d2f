"""Pushed images as a component of kustomize: a site that lists it runs them, and its retrain job compares with them."""

from pathlib import Path

from components.common.files import write_file
from components.common.image_list import REPOSITORY, read_images, write_images

FILE = "images.json"
COMPONENT = """\
# Written by `python -m images component` from images.json, which the retrain job reads as well.
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
images:
{images}
configMapGenerator:
  - name: dualgan-parity-pushed-images
    namespace: kubeflow
    files: [images.json]
    options:
      disableNameSuffixHash: true
      labels: {{app.kubernetes.io/part-of: dualgan-parity}}
patches:
  - target: {{kind: CronJob, name: dualgan-parity-retrain}}
    patch: |-
      - {{op: add, path: {pod}/containers/0/args/-, value: --images}}
      - {{op: add, path: {pod}/containers/0/args/-, value: {mount}/images.json}}
      - op: add
        path: {pod}/containers/0/volumeMounts/-
        value: {{name: images, mountPath: {mount}, readOnly: true}}
      - {{op: add, path: {pod}/volumes/-, value: {{name: images, configMap: {{name: dualgan-parity-pushed-images}}}}}}
"""


def write_component(images_file: Path, folder: Path) -> Path:
    """Write a copy of ``images_file`` into ``folder``, and beside it the kustomization, whose path is returned."""
    images = read_images(images_file).values()
    lines = [
        f"  - {{name: {REPOSITORY}/{one.name}, newName: {one.repository}, digest: {one.digest}}}" for one in images
    ]
    content = COMPONENT.format(
        images="\n".join(lines), pod="/spec/jobTemplate/spec/template/spec", mount="/etc/dualgan-parity"
    )
    write_images(folder / FILE, images)
    write_file(folder / "kustomization.yaml", content)
    return folder / "kustomization.yaml"
