"""Archives and descriptions that no program wrote: each is a dataset or one line, and nothing else is left.

DUALGAN_FUZZ_EXAMPLES says how many are tried of each kind.
"""

import contextlib
import gzip
import io
import json
import os
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.dataset.fetch import fetch
from components.dataset.options import FetchOptions
from dualgan.dataset_folder import content_digest, image_counts
from dualgan.errors import DualGANError
from dualgan.names import plain_name
from tests.components.dataset.made import everything_below, make_dataset

pytestmark = pytest.mark.stress

EXAMPLES = int(os.environ.get("DUALGAN_FUZZ_EXAMPLES", "300"))
LONG = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


def fetched_or_one_line(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        archive = Path(scratch) / "a.zip"
        archive.write_bytes(content)
        try:
            fetch(
                str(archive),
                Path(scratch) / "out" / "data",
                FetchOptions(max_files=100, max_size=4 << 20, quarantine=True),
            )
        except DualGANError as error:
            assert "\n" not in str(error)
            assert everything_below(Path(scratch)) == {"a.zip"}


def archives() -> dict[str, bytes]:
    made = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = make_dataset(Path(scratch) / "faces", names=("0.png",))
        (folder / "dataset.json").write_text(json.dumps({"name": "faces", "digest": "0" * 64}))
        names = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*.*"))}
        for form, kind in (("gnu", tarfile.GNU_FORMAT), ("pax", tarfile.PAX_FORMAT)):
            with tarfile.open(fileobj=(tar := io.BytesIO()), mode="w", format=kind) as packed:
                for name, path in names.items():
                    packed.add(path, f"{'long/' * 30 if name == 'dataset.json' else ''}{name}")
            made[form] = tar.getvalue()
        for form, method in (("stored", zipfile.ZIP_STORED), ("deflated", zipfile.ZIP_DEFLATED)):
            with zipfile.ZipFile(packed_zip := io.BytesIO(), "w", method) as file:
                for name, path in names.items():
                    file.write(path, name)
            made[form] = packed_zip.getvalue()
    return made


BASES = archives()
CHANGES = st.tuples(st.integers(0, 1 << 30), st.integers(0, 40), st.binary(max_size=40))


def changed(content: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    for position, length, put in changes:
        start = position % (len(content) + 1)
        content = content[:start] + put + content[start + length :]
    return content


@LONG
@given(base=st.sampled_from(sorted(BASES)), changes=st.lists(CHANGES, min_size=1, max_size=4), is_packed=st.booleans())
def test_a_damaged_archive_is_a_dataset_or_one_line(
    base: str, changes: list[tuple[int, int, bytes]], is_packed: bool
) -> None:
    content = changed(BASES[base], changes)
    fetched_or_one_line(gzip.compress(content) if is_packed else content)


FIELDS = {"name": (0, 100), "size": (124, 136), "type": (156, 157), "link": (157, 257), "prefix": (345, 500)}


@LONG
@given(
    base=st.sampled_from(["gnu", "pax"]),
    block=st.integers(0, 60),
    field=st.sampled_from(sorted(FIELDS)),
    value=st.binary(max_size=120) | st.sampled_from([b"x", b"g", b"L", b"K", b"S", b"X", b"-1", b"7" * 12, b"\x80"]),
)
def test_a_tar_with_any_header_is_a_dataset_or_one_line(base: str, block: int, field: str, value: bytes) -> None:
    content = bytearray(BASES[base])
    start = block % (len(content) // 512) * 512
    first, last = FIELDS[field]
    content[start + first : start + last] = value[: last - first].ljust(last - first, b"\0")
    header = bytes(content[start : start + 512])
    checksum = 256 + sum(header[:148]) + sum(header[156:])
    content[start + 148 : start + 156] = b"%06o\0 " % checksum
    fetched_or_one_line(bytes(content))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([10**400, "\ud800", "it's"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(["name", "source", "counts", "digest", "archive_sha256", "schema_version"])
DESCRIPTIONS = (
    (VALUES | st.dictionaries(KEYS, VALUES)).map(lambda value: json.dumps(value).encode())
    | st.binary()
    | st.sampled_from([b"[" * 100_000, b'{"name":' * 100_000, b"9" * 5000, b'{"counts": 1e999}', b"\xff\xfe[\0]\0"])
)


@LONG
@given(description=DESCRIPTIONS)
def test_any_description_is_read_or_refused_in_one_line(description: bytes) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = make_dataset(Path(scratch) / "faces", names=("0.png",))
        # Else the wrong digest would hide what else is wrong.
        right = {"counts": image_counts(folder), "digest": content_digest(folder)}
        if description.startswith(b"{") and description.endswith(b"}"):
            with contextlib.suppress(ValueError, RecursionError):
                description = json.dumps({**right, **json.loads(description)}).encode()
        (folder / "dataset.json").write_bytes(description)
        lock = Path(scratch) / "datasets.lock"
        lock.write_bytes(description)
        sources = {str(folder): Path(scratch) / "data", str(folder) + "/": folder, "http://127.0.0.1:1/a.zip": folder}
        for source, destination in sources.items():
            try:
                assert plain_name(fetch(source, destination, FetchOptions(lock=lock)).name)
            except DualGANError as error:
                assert "\n" not in str(error)
