from pathlib import Path

import pytest
from kfp import dsl

from components.dataset.component import dataset as component
from dualgan.dataset_folder import content_digest
from dualgan.errors import DualGANError


def test_the_component_passes_source_checksum_and_quarantine_on(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    digest = content_digest(dataset)
    (dataset / "train" / "A" / "empty.png").write_bytes(b"")
    output = dsl.Dataset(uri=str(tmp_path / "data"))
    with pytest.raises(DualGANError, match=r"train/A/empty.png \(empty file\)"):
        component(source=str(dataset), dataset=output)
    with pytest.raises(DualGANError, match=f"--sha256 says {'0' * 64}"):
        component(source=str(dataset), dataset=output, quarantine=True, sha256="0" * 64)
    component(source=str(dataset), dataset=output, quarantine=True, sha256=digest)
    assert output.metadata["digest"] == digest == content_digest(tmp_path / "data")
    assert (tmp_path / "data" / "quarantine" / "train" / "A" / "empty.png").is_file()
