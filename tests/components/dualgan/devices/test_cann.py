"""CANN's and the driver's versions are read from the files that their installers leave."""

from pathlib import Path

import pytest

from dualgan.devices import cann


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(cann.ROOT_VARIABLE, str(tmp_path))
    return tmp_path


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.mark.parametrize(
    "file",
    [
        "ascend-toolkit/latest/aarch64-linux/ascend_toolkit_install.info",
        "ascend-toolkit/latest/ascend_toolkit_install.info",
        "nnae/latest/ascend_nnae_install.info",
        "cann/x86_64-linux/ascend_toolkit_install.info",
        "cann-8.5.0/aarch64-linux/ascend_toolkit_install.info",
    ],
)
def test_the_version_stands_in_an_install_info(root: Path, file: str) -> None:
    write(root / file, "package_name=Ascend-cann-toolkit\nversion=8.1.RC1\ninnerversion=V100R001C21SPC001B238\n")
    assert cann.installed().version == "8.1.RC1"


def test_what_is_linked_as_latest_counts_before_other_versions(root: Path) -> None:
    for version in ("5.0.4", "7.0.0"):
        info = root / "ascend-toolkit" / version / "x86_64-linux" / "ascend_toolkit_install.info"
        write(info, f"version={version}\n")
    (root / "ascend-toolkit" / "latest").symlink_to(root / "ascend-toolkit" / "5.0.4")
    assert cann.installed().version == "5.0.4"


def test_a_folder_s_name_is_the_last_resort(root: Path) -> None:
    (root / "ascend-toolkit" / "5.0.4.alpha005").mkdir(parents=True)
    (root / "ascend-toolkit" / "latest").symlink_to(root / "ascend-toolkit" / "5.0.4.alpha005")
    assert cann.installed().version == "5.0.4.alpha005"


def test_a_folder_s_name_may_begin_with_cann(root: Path) -> None:
    (root / "cann-8.5.0").mkdir()
    (root / "cann").symlink_to("cann-8.5.0")
    assert cann.installed().version == "8.5.0" and cann.installed().number == (8, 5, 0)


def test_the_driver_has_a_file_of_its_own(root: Path) -> None:
    write(root / "driver" / "version.info", "Version=21.0.2\nascendhal_version=4.0.0\n")
    assert cann.installed().driver == "21.0.2"


def test_nothing_installed_is_no_error(root: Path) -> None:
    assert cann.installed() == cann.Cann(None, None, root)


@pytest.mark.parametrize(
    ("text", "number"), [("5.0.4.alpha005", (5, 0, 4)), ("6.3.RC2", (6, 3)), ("8.0.0", (8, 0, 0)), ("latest", None)]
)
def test_versions_compare_by_their_numbers(text: str, number: tuple[int, ...] | None) -> None:
    assert cann.version_number(text) == number
