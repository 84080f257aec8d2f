"""The pipeline as a package for a cluster: KFP's intermediate representation, YAML."""

import tempfile
import warnings
from pathlib import Path

from pipelines.profile import Profile


def compile_package(profile: Profile, output: Path) -> None:
    """Write the package of ``profile``'s pipeline, whole or not at all."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from kfp import compiler

        from pipelines.parity import build

        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output.parent) as folder:
            made = Path(folder) / "pipeline.yaml"
            compiler.Compiler().compile(build(profile, on_cluster=True), str(made))
            made.replace(output)
