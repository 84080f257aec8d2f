"""Pushed images as a component of kustomize: a site that lists it runs them, and its retrain job compares with them."""

from pathlib import Path

from components.common.files import write_file
from components.common.image_list import REPOSITORY, read_images, write_images
from dualgan.errors import BadInput

FILE, KUSTOMIZATION = "images.json", "kustomization.yaml"
WRITTEN = "# Written by `python -m images component`"
COMPONENT = """\
{written} from images.json, which the retrain job reads as well.
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
    """Write a copy of ``images_file`` into ``folder``, and beside it the kustomization, whose path is returned.

    Raises BadInput for a folder that holds a file of these names which is not of an earlier call.
    """
    kustomization, copy = folder / KUSTOMIZATION, folder / FILE
    ours = kustomization.is_file() and kustomization.read_bytes().startswith(WRITTEN.encode())
    if not ours and (kustomization.exists() or copy.exists()):
        raise BadInput(f"{folder}: has files of another; name a folder of its own, such as manifests/site/images")
    images = read_images(images_file).values()
    lines = [
        f"  - {{name: {REPOSITORY}/{one.name}, newName: {one.repository}, digest: {one.digest}}}" for one in images
    ]
    content = COMPONENT.format(
        written=WRITTEN,
        images="\n".join(lines),
        pod="/spec/jobTemplate/spec/template/spec",
        mount="/etc/dualgan-parity",
    )
    write_images(copy, images)
    write_file(kustomization, content)
    return kustomization
