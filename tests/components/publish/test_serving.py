"""`mlflow models serve` answers with an image for an image: the one that the trainer itself drew."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image

from components.publish.publish import publish
from components.tracking.store import store_uri
from components.tracking.target import TrackingTarget
from dualgan.run_folder import RunFolder, read_samples
from tests.components.publish.conftest import write_comparison
from tests.components.tracking.servers import running
from tests.services import free_port


@pytest.fixture
def address(tmp_path: Path, trained: Path, store: Path) -> Iterator[str]:
    """Where the published model is served."""
    uri = store_uri(store)
    published = publish(trained, write_comparison(tmp_path / "comparison", trained), TrackingTarget(uri))
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"]
    command += ["--model-uri", published.uri, "--port", str(port), "--host", "127.0.0.1"]
    # MLflow starts its model server by name.
    programs = f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": programs, "MLFLOW_TRACKING_URI": uri}
    with running(command, f"http://127.0.0.1:{port}/ping", tmp_path / "serve.log", environment):
        yield f"http://127.0.0.1:{port}/invocations"


def ask(address: str, content: Any) -> requests.Response:
    body = content if isinstance(content, str) else json.dumps(content)
    return requests.post(address, body, headers={"Content-Type": "application/json"}, timeout=120)


def post(address: str, content: Any) -> Any:
    return np.asarray(ask(address, content).json()["predictions"])


def refusal(address: str, content: Any) -> str:
    answer = ask(address, content)
    assert answer.status_code == 400
    return answer.text


@pytest.mark.system
def test_an_image_is_answered_with_the_image_that_the_trainer_drew(trained: Path, address: str) -> None:
    pictures = {
        sample.kind: np.asarray(Image.open(sample.path)) for sample in read_samples(RunFolder(trained).samples_of(12))
    }
    for direction, real in (("A2B", "real_A"), ("B2A", "real_B")):
        image = pictures[real][None].tolist()
        drawn = post(address, {"inputs": image, "params": {"direction": direction}})
        assert drawn.shape == (1, 32, 32, 3) and drawn.min() >= 0 and drawn.max() <= 255
        assert np.abs(drawn[0] - pictures[direction].astype(int)).max() <= 1

    image = pictures["real_A"][None].tolist()
    assert (post(address, {"inputs": image})[0] == post(address, {"instances": image * 2})[1]).all()
    assert "must be one of A2B, B2A" in refusal(address, {"inputs": image, "params": {"direction": "A2C"}})
    assert "(-1, 32, 32, 3)" in refusal(address, {"inputs": np.zeros((1, 16, 16, 3), int).tolist()})
    assert "out of bounds for uint8" in refusal(address, {"inputs": np.full((1, 32, 32, 3), -1).tolist()})
    one = json.dumps({"inputs": np.zeros((1, 32, 32, 3), int).tolist()})
    for value in ("0.5", "1e400", "NaN", "1" * 400, "9" * 5000, "-0.001"):
        assert "whole numbers from 0 to 255" in refusal(address, one.replace("0", value, 1))
    assert "nested too deeply" in refusal(address, '{"inputs": ' + "[" * 100_000)
    assert "inputs or instances" in refusal(address, "[1]")
    assert "out of bounds for uint8" in refusal(address, one.replace("0", "256", 1))
    assert (post(address, one) == post(address, one.replace("0", "0.0", 1))).all()
