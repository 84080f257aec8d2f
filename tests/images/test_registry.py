"""Images in a real registry: pushed, joined to one of several architectures, and bases pinned to what it has."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from components.common.image_list import read_images
from components.common.revision import COMMIT_VARIABLE
from dualgan.errors import DualGANError
from images import registry as subject
from images.__main__ import main
from images.registry import pin_bases
from tests.images.built import client
from tests.images.tiny import PREFIX, make_image, remove_images
from tests.services import container_registry

pytestmark = [pytest.mark.system("docker", "docker-registry")]
Command = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def registry() -> Iterator[str]:
    with container_registry() as address:
        yield address


@pytest.fixture
def images(
    registry: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> Iterator[Command]:
    """`python -m images`, in whose engine images are called apart from a user's; exit code and standard error."""
    monkeypatch.setenv(COMMIT_VARIABLE, "aaaa")
    monkeypatch.setattr(subject, "image_tag", lambda name: f"{PREFIX}/{name}:dev")
    monkeypatch.chdir(tmp_path)

    def images(*arguments: str) -> tuple[int, str]:
        code = main(arguments)
        return code, capfd.readouterr().err

    yield images
    remove_images(registry)


def test_what_is_pushed_for_two_architectures_is_listed_by_one_digest(registry: str, images: Command) -> None:
    for architecture, names in (("amd64", ("cpu", "tf1")), ("arm64", ("cpu",))):
        for name in names:
            make_image(f"{PREFIX}/{name}:dev", "aaaa", architecture)
        listed = ("--tag", f"1.0-{architecture}", "--output", f"{architecture}.json")
        code, errors = images("push", "--registry", f"{registry}/", "--no-build", *listed, *names)
        assert code == 0, errors
    assert read_images(Path("amd64.json"))["tf1"].architectures == ("amd64",)
    assert images("merge", "--tag", "1.0", "amd64.json", "arm64.json")[0] == 0
    merged = read_images(Path("images.json"))
    assert {name: one.architectures for name, one in merged.items()} == {"cpu": ("amd64", "arm64"), "tf1": ("amd64",)}
    for name, one in merged.items():
        assert (one.repository, one.revision) == (f"{registry}/dualgan-parity/{name}", "aaaa")
        # What a cluster pulls by the digest, and by the tag.
        assert client().images.get_registry_data(one.reference).id == one.digest
        assert client().images.get_registry_data(f"{one.repository}:1.0").id == one.digest
    # What an interrupted merge leaves on this machine is of another build.
    (cpu,) = [one for one in merged.values() if one.name == "cpu"]
    make_image(f"{cpu.repository}:before", "bbbb")
    client().images.push(f"{cpu.repository}:before")
    left = ["docker", "manifest", "create", "--insecure", f"{cpu.repository}:1.0", f"{cpu.repository}:before"]
    subprocess.run(left, check=True, capture_output=True)
    # Again, nothing is another.
    assert images("merge", "--tag", "1.0", "amd64.json", "arm64.json")[0] == 0
    assert read_images(Path("images.json")) == merged
    code, errors = images("merge", "--tag", "1.0+x", "amd64.json", "arm64.json")
    assert code == 2 and "tag '1.0+x'" in errors
    code, errors = images("merge", "--tag", "1.0", "amd64.json", "amd64.json")
    assert code == 2 and "image cpu: the same architecture twice (amd64, amd64)" in errors
    Path("arm64.json").write_text(Path("arm64.json").read_text().replace("aaaa", "bbbb"))
    code, errors = images("merge", "--tag", "1.0", "amd64.json", "arm64.json")
    assert code == 2 and "of revision bbbb are not one image" in errors


def test_an_image_of_other_code_or_none_is_not_pushed(registry: str, images: Command) -> None:
    make_image(f"{PREFIX}/cpu:dev", "bbbb")
    for name, said in (("cpu", "of revision bbbb, and the code is aaaa"), ("gpu", "not on this machine")):
        code, errors = images("push", "--registry", registry, "--no-build", name)
        assert code == 2 and f"image {PREFIX}/{name}:dev: {said}" in errors.splitlines()[-1]
    assert not Path("images.json").exists()


BASES = """\
# Why.
FIRST:
  image: {registry}/python:3.11
  digest: null
  what: >-
    Two lines,
    of words
SECOND:
  image: {registry}/absent:1
  digest: null
  what: another
"""


def test_bases_are_pinned_to_what_the_registry_has_and_renewed(registry: str, tmp_path: Path, images: Command) -> None:
    file, base = tmp_path / "bases.yaml", f"{registry}/python:3.11"
    file.write_text(BASES.format(registry=registry))
    for revision in ("old", "new", "new"):
        make_image(base, revision)
        client().images.push(base)
        with pytest.raises(DualGANError, match=r"absent:1: its registry has no answer \(manifest unknown"):
            list(pin_bases(file=file))
        digest = yaml.safe_load(file.read_text())["FIRST"]["digest"]
        assert digest == client().images.get_registry_data(base).id
        # All else stays as it was written.
        assert file.read_text().replace(f'"{digest}"', "null") == BASES.format(registry=registry)
    assert list(pin_bases(["FIRST"], file)) == [f"FIRST: {base} is {digest} as before"]
    with pytest.raises(DualGANError, match="base THIRD: unknown; known are FIRST, SECOND"):
        list(pin_bases(["THIRD"], file))
