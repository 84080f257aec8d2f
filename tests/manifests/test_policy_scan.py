"""Every overlay and component passes checkov, but for what manifests/checkov.yaml leaves out with a reason."""

import re
import subprocess

import pytest

from tests.manifests.rendered import MANIFESTS, ROOT


@pytest.mark.system("kubectl")
def test_the_policy_scan_finds_nothing() -> None:
    answer = subprocess.run(["make", "scan"], cwd=ROOT, capture_output=True, text=True, timeout=500, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    (passed,) = re.findall(r"^Passed checks: (\d+), Failed checks: 0, Skipped checks: 0$", answer.stdout, re.MULTILINE)
    # It looked at them: some seventy checks for each of forty containers.
    assert int(passed) > 2000


def test_each_exception_has_its_reason() -> None:
    exceptions = (MANIFESTS / "checkov.yaml").read_text().partition("skip-check:\n")[2].splitlines()
    assert exceptions and len(exceptions) % 2 == 0
    for reason, check in zip(exceptions[::2], exceptions[1::2], strict=True):
        assert re.fullmatch(r"  # .{20,}", reason) and re.fullmatch(r"  - CKV_K8S_\d+", check)
