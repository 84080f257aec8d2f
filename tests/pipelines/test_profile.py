"""Profiles: what is refused, and what a leg is where its runtime is missing."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from components.compare.bounds import MAX_SEEDS
from components.compare.component import compare
from components.publish.component import publish
from components.train import runtimes
from dualgan.errors import BadInput
from pipelines.profile import (
    LegProfile,
    NodeRequirement,
    Profile,
    Resources,
    Toleration,
    User,
    Variables,
    load_profile,
)
from pipelines.profiles import known_profiles

LEGS = [{"name": "one", "runtime": "tf2", "device": "cpu"}, {"name": "two", "runtime": "tf2", "device": "cpu"}]
POOL = {"node_selector": {"accelerator": "huawei-Ascend910"}}
GOOD = {"description": "d", "image": "i:1", "dataset": "synthetic", "reference": "one", "legs": LEGS}


def profile_file(folder: Path, **changes: Any) -> str:
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({**GOOD, **changes}))
    return str(path)


def asking(**resources: Any) -> dict[str, Any]:
    """A change of a profile: its second leg asks for ``resources``."""
    return {"legs": [LEGS[0], {**LEGS[1], "resources": resources}]}


@pytest.mark.parametrize("name", known_profiles())
def test_every_profile_of_the_project_loads(name: str) -> None:
    profile = load_profile(name)
    assert profile.recorded_reference or profile.reference in [leg.name for leg in profile.legs]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"colour": "red"}, "colour: unknown key"),
        ({"legs": [{**LEGS[0], "gpus": 1}, LEGS[1]]}, "legs.0.gpus: unknown key"),
        ({"legs": [{**LEGS[0], "device": "tpu"}, LEGS[1]]}, "legs.0.device: Input should be 'cpu', 'gpu' or 'npu'"),
        ({"legs": [{**LEGS[0], "name": "A_B"}, LEGS[1]]}, "legs.0.name: 'A_B' is no name: lower-case"),
        ({"reference": "three"}, "reference 'three' is not among the legs (one, two)"),
        ({"legs": [LEGS[0], LEGS[0]]}, "two legs have the same name"),
        ({"legs": [LEGS[0]]}, "a reference needs a second leg to judge"),
        ({"recorded_reference": "published"}, "give either a leg as reference or a recorded_reference"),
        ({"seeds": [0, 0]}, "a seed is there twice"),
        ({"seeds": []}, "seeds: Tuple should have at least 1 item"),
        ({"seeds": [*range(11)]}, "seeds: Tuple should have at most 10 items"),
        ({"seeds": [-1]}, "seeds.0: Input should be greater than or equal to 0"),
        ({"bounds": {"max_los_ratio": 1.1}}, "bound 'max_los_ratio': unknown"),
        ({"bounds": {"max_loss_ratio": 0.5}}, "must be 1 or more"),
        (
            {"legs": [{**LEGS[0], "fallback": {"name": "two", "runtime": "tf2"}}, LEGS[1]]},
            "two legs have the same name",
        ),
        ({"options": {"learning_rate": 1}}, "training option 'learning_rate': unknown"),
        ({"options": {"image_size": 48}}, "--image_size 48: must be a power of two from 32"),
        ({"options": {"lr": "fast"}}, "training option lr: 'fast' is not of type float"),
        (asking(accelerator="huawei.com/Ascend910"), "accelerator huawei.com/Ascend910 without a pool"),
        (asking(**POOL, accelerator="NVIDIA_TESLA_K80"), "'NVIDIA_TESLA_K80' is no resource of a device plugin"),
        (asking(**POOL, accelerator="huawei.com/Ascend 910"), "is no resource of a device plugin"),
        (asking(cpu="many"), "'many' is no number of CPU cores"),
        (asking(cpu="0"), "'0' is no number of CPU cores"),
        (asking(memory="96 GiB"), "'96 GiB' is no amount of memory"),
        (asking(shared_memory="-1Gi"), "'-1Gi' is no amount of memory"),
        (asking(node_selector={"host arch": "arm"}), "'host arch' is no key of a label"),
        (asking(node_selector={"host-arch": "a/b"}), "'a/b' is no value of a label"),
        (asking(node_selector={"-x.io/a": "b"}), "is no key of a label"),
        (asking(tolerations=[{"key": "a", "operator": "Equal"}]), "toleration a: Equal needs a value"),
        (
            asking(node_affinity=[{"key": "nvidia.com/gpu.product"}]),
            "legs.1.resources.node_affinity.0: node_affinity nvidia.com/gpu.product: In needs values",
        ),
        (asking(node_affinity=[{"key": "a", "operator": "Exists", "values": ["b"]}]), "Exists needs no values"),
        (asking(node_affinity=[{"key": "a", "operator": "Gt", "values": ["many"]}]), "Gt needs one whole number"),
        (asking(node_affinity=[{"key": "a", "values": ["b"], "weight": 101}]), "node_affinity.0.weight"),
        (
            asking(accelerator="nvidia.com/gpu", node_affinity=[{"key": "a", "values": ["b"], "weight": 1}]),
            "without a pool",
        ),
        (asking(labels={"kueue.x-k8s.io/queue-name": "two words"}), "'two words' is no value of a label"),
        ({"labels": {"queue name": "a"}}, "labels.queue name.[key]: 'queue name' is no key of a label or annotation"),
        ({"labels": {"app.kubernetes.io/part-of": "mine"}}, "'app.kubernetes.io/part-of' is no key to set"),
        ({"annotations": {"workflows.argoproj.io/node-id": "1"}}, "is no key to set: it is Argo's"),
        ({"labels": {"pipelines.kubeflow.org/v2_component": "false"}}, "is no key to set: it is Argo's, KFP's"),
        (asking(labels={"pipeline/runid": "mine"}), "'pipeline/runid' is no key to set"),
        (
            {"annotations": {"karpenter.sh/do-not-disrupt": True}},
            'annotations.karpenter.sh/do-not-disrupt: True is no text: write it in quotes, "true"',
        ),
        ({"annotations": {"a": "{{workflow.name}}"}}, "is no value of an annotation: one line, without {{"),
        ({"resources": {"labels": {"a": "b", "c": 1}}}, "resources.labels.c: 1 is no text"),
        (asking(time_limit=0), "time_limit"),
        (asking(user={"uid": 0, "gid": 1}), "user.uid"),
        ({"image": "Registry/CPU:1"}, "is no image"),
        ({"image": "team/cpu@sha256:12"}, "is no image"),
        ({"secrets": [{"name": "My_Secret", "variables": {"a": "B"}}]}, "'My_Secret' is no name of an object"),
        ({"secrets": [{"name": "mine", "variables": {"a": "1B"}}]}, "'1B' is no name of an environment variable"),
        ({"config_maps": [{"name": "mine", "variables": {"a b": "B"}}]}, "'a b' is no key"),
        ({"checkpoints": "/tmp/kept"}, "/tmp/kept: not a place in S3"),
        ({"retries": -1}, "retries"),
    ],
)
def test_what_does_not_fit_is_named_in_one_line(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    file = profile_file(tmp_path, **changes)
    with pytest.raises(BadInput) as refusal:
        load_profile(file)
    assert named in str(refusal.value) and file in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_the_reference_names_every_key_where_it_is_written() -> None:
    text = (Path(__file__).parents[2] / "docs" / "profiles.md").read_text()
    rows = {
        key: row for row in text.splitlines() if row.startswith("| `") for key in row.split("|")[1].split("`")[1::2]
    }
    assert not [key for model in (Profile, Resources) for key in model.model_fields if key not in rows]
    below: dict[str, type[BaseModel]] = {"legs": LegProfile, "secrets": Variables, "config_maps": Variables}
    below |= {"tolerations": Toleration, "node_affinity": NodeRequirement, "user": User}
    assert not [
        (key, name) for key, model in below.items() for name in model.model_fields if f"`{name}" not in rows[key]
    ]


def test_labels_that_network_policies_find_tasks_by_cannot_be_set(tmp_path: Path) -> None:
    policies = Path(__file__).parents[2] / "manifests" / "base" / "runs" / "network-policies.yaml"
    selectors = [one["spec"]["podSelector"].get("matchLabels", {}) for one in yaml.safe_load_all(policies.read_text())]
    keys = {key for selector in selectors if "app.kubernetes.io/part-of" in selector for key in selector}
    assert len(keys) > 1
    for key in keys:
        with pytest.raises(BadInput, match="is no key to set"):
            load_profile(profile_file(tmp_path, labels={key: "mine"}))


def test_an_unknown_profile_is_answered_with_the_known_ones() -> None:
    with pytest.raises(BadInput, match=r"profile nightly: unknown; known are .*local"):
        load_profile("nightly")


def test_without_its_runtime_a_leg_is_what_its_profile_says_and_is_named_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(runtimes.TF1_VARIABLE, str(tmp_path / "absent"))
    profile = load_profile("local").on_this_machine()
    assert profile.reference == "cpu-tf2-plain"
    leg = profile.legs[0]
    assert (leg.name, leg.runtime, leg.environment) == ("cpu-tf2-plain", "tf2", {"TF_ENABLE_ONEDNN_OPTS": "0"})


def test_without_its_runtime_and_without_a_stand_in_a_leg_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(runtimes.TF1_VARIABLE, str(tmp_path / "absent"))
    profile = load_profile(profile_file(tmp_path, legs=[{**LEGS[0], "runtime": "tf1"}, LEGS[1]]))
    with pytest.raises(BadInput, match=r"runtime tf1: no Python with TensorFlow 1.15 at .*`make tf1`"):
        profile.on_this_machine()


def test_one_leg_is_enough_with_a_recorded_reference(tmp_path: Path) -> None:
    changes = {"legs": [LEGS[0]], "reference": None, "recorded_reference": "published"}
    profile = load_profile(profile_file(tmp_path, **changes)).on_this_machine()
    assert [leg.name for leg in profile.candidates] == ["one"]
    assert profile.settings(profile.legs[0]).role == "candidate"


def test_the_command_line_chooses_how_many_seeds_from_which_on(tmp_path: Path) -> None:
    profile = load_profile(profile_file(tmp_path, seeds=[3, 4]))
    assert profile.with_seeds(None, None).seeds == (3, 4)
    assert profile.with_seeds(None, 3).seeds == (3, 4, 5)
    assert profile.with_seeds(9, None).seeds == (9, 10)


@pytest.mark.parametrize("component", [compare, publish])
@pytest.mark.parametrize("side", ["candidate", "reference"])
def test_what_judges_and_publishes_has_inputs_for_as_many_seeds(component: Callable[..., str], side: str) -> None:
    inputs = [name for name in inspect.signature(component).parameters if name.startswith(f"{side}_records_")]
    assert len(inputs) == MAX_SEEDS


@pytest.mark.parametrize(("first", "count"), [(None, 0), (None, 11), (-1, None), (2**32, 1)])
def test_seeds_that_no_trainer_or_comparison_takes_are_refused(
    tmp_path: Path, first: int | None, count: int | None
) -> None:
    with pytest.raises(BadInput, match="--seed"):
        load_profile(profile_file(tmp_path)).with_seeds(first, count)


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("seeds: [99999999999999999999999]", "a whole number does not fit into 64 bits"),
        ("options: " + "[" * 1000 + "]" * 1000, "nested deeper than 64"),
        ("options: {lr: &a [*a]}", "nested deeper than 64"),
        ("options: {max_steps: 2026-11-27}", "max_steps"),
        ("name: 2026-11-27", "'2026-11-27' is no name: lower-case"),
        ("retries: 1.0e+400", "retries"),
        ("mlflow_hours: .nan", "mlflow_hours"),
        ("2026: x", "the key 2026 is no text"),
        ('description: "\\ud800"', "surrogates not allowed"),
        ("reference: " + "x" * 1_000_000, "profile: reference 'xxx"),
    ],
)
def test_a_value_that_nothing_can_be_done_with_is_named_in_a_short_line(tmp_path: Path, line: str, named: str) -> None:
    file = Path(profile_file(tmp_path))
    key = line.partition(":")[0]
    file.write_text(yaml.safe_dump({name: value for name, value in GOOD.items() if name != key}) + line)
    with pytest.raises(BadInput) as refusal:
        load_profile(str(file))
    message = str(refusal.value)
    assert named in message and len(message.splitlines()) == 1 and len(message) < 1000


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.dates(), st.binary(max_size=8),
    st.sampled_from(["s3://", "mlflow:", "published", "tf1", "npu", "1e999", "\u202e", "synthetic://?n=-1"]),
)  # fmt: skip
CONTENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4)
)
FIELDS = st.sampled_from([*Profile.model_fields, *LegProfile.model_fields, *Resources.model_fields, "x"])


@pytest.mark.stress
@pytest.mark.timeout(900)
@settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(FIELDS, CONTENTS, max_size=3), st.dictionaries(FIELDS, CONTENTS, max_size=3))
def test_any_content_is_a_profile_or_one_line(tmp_path: Path, changes: dict[str, Any], of_leg: dict[str, Any]) -> None:
    try:
        load_profile(profile_file(tmp_path, **{"legs": [{**LEGS[0], **of_leg}, LEGS[1]], **changes}))
    except BadInput as refusal:
        assert len(str(refusal).splitlines()) == 1 and len(str(refusal)) < 2000
