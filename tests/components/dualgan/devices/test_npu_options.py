"""--npu_parameters, --precision_mode and --loss_scale: what fits an Ascend 910 and its CANN, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from dualgan import options as train_options
from dualgan.devices import npu_options
from dualgan.devices.npu import loss_scale
from dualgan.devices.npu_machine import Cann
from dualgan.devices.npu_options import PRECISION_MODES, checked_mode
from dualgan.errors import BadInput
from dualgan.npu_smi import Card

OLD = Cann("5.0.4.alpha005", "21.0.2", Path("/usr/local/Ascend"))
NEW = Cann("7.0.0", "23.0.3", Path("/usr/local/Ascend"))
NEWEST = Cann("9.0.0", "25.3.0", Path("/usr/local/Ascend"))
UNKNOWN = Cann(None, None, Path("/usr/local/Ascend"))
FIRST, A2, A3 = Card("910A", "OK", 32255), Card("910B3", "OK", 65536), Card("Ascend910", "OK", 65536)


def checked(
    values: dict[str, Any], installed: Cann = OLD, mode: str = "force_fp32", card: Card | None = FIRST
) -> dict[str, Any]:
    return npu_options.check_parameters(npu_options.parse_parameters(json.dumps(values)), installed, mode, card)


def test_no_parameters_are_none() -> None:
    assert npu_options.parse_parameters("") == {}


def test_a_folder_for_compiled_operations_is_used(tmp_path: Path) -> None:
    assert checked({"op_compiler_cache_dir": str(tmp_path)})["op_compiler_cache_mode"] == "enable"


def test_a_dump_of_overflows_and_of_tensors_go_under_their_own_keys(tmp_path: Path) -> None:
    overflow = {"enable_dump_debug": True, "dump_path": str(tmp_path), "dump_debug_mode": "all"}
    tensors = {"enable_dump": True, "dump_path": str(tmp_path), "dump_step": "0|5", "dump_mode": "all"}
    assert checked(overflow) == overflow and checked(tensors) == tensors


def test_profiling_options_may_be_an_object(tmp_path: Path) -> None:
    profiling = {"profiling_mode": True, "profiling_options": {"output": str(tmp_path), "task_trace": "on"}}
    assert json.loads(checked(profiling)["profiling_options"])["task_trace"] == "on"


def test_memory_may_be_moved_from_the_graph_to_variables() -> None:
    assert checked({"graph_memory_max_size": "16 * 1024 * 1024 * 1024", "variable_memory_max_size": "16106127360"})


@pytest.mark.parametrize(("installed", "card"), [(OLD, A2), (NEWEST, A2), (NEWEST, A3), (NEWEST, FIRST)])
def test_memory_is_counted_where_cann_divides_it_and_by_what_the_card_has(installed: Cann, card: Card) -> None:
    assert checked({"graph_memory_max_size": str(40 * 1024**3)}, installed, card=card)
    too_much = {"graph_memory_max_size": str(60 * 1024**3)}
    if installed is OLD:
        with pytest.raises(BadInput, match=r"add up to 70.0 GB; this card has 64"):
            checked(too_much, installed, card=card)
    else:
        assert checked(too_much, installed, card=card)


@pytest.mark.parametrize(
    "values",
    [
        {"op_select_implmode": "high_precision_for_all"},
        {"op_select_implmode": "high_performance_for_all"},
        {"enable_exception_dump": 2},
        {"op_debug_level": 1, "op_compiler_cache_mode": "disable"},
        {"session_device_id": 0},
        {"enable_dump": True, "dump_path": "/tmp", "dump_step": "0|5|10-20"},
    ],
)
def test_what_the_adapter_takes_is_taken(values: dict[str, Any]) -> None:
    assert checked(values) == values


def test_a_path_is_of_the_folder_that_it_was_given_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kernels").mkdir()
    monkeypatch.chdir(tmp_path)
    assert checked({"op_compiler_cache_dir": "kernels"})["op_compiler_cache_dir"] == str(tmp_path / "kernels")


def test_a_folder_must_be_one_to_write_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may write everywhere: the answer is that of another user.
    monkeypatch.setattr("os.access", lambda path, mode: False)
    for values in ({"enable_dump": True, "dump_path": str(tmp_path)}, {"debug_dir": str(tmp_path)}):
        with pytest.raises(BadInput, match="this user may not read and write in it"):
            checked(values)


@pytest.mark.parametrize("card", [A2, A3])
def test_newer_chips_dump_all_overflows_or_none(card: Card) -> None:
    overflow = {"enable_dump_debug": True, "dump_path": "/tmp", "dump_debug_mode": "aicore_overflow"}
    assert checked(overflow)
    with pytest.raises(BadInput, match="dump_debug_mode: must be all on Atlas A2 and A3"):
        checked(overflow, NEW, card=card)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"over_dump": True}, "over_dump: unknown"),
        ({"graph_memory_max_size": 8}, "8 must be a string"),
        ({"enable_dump": 1}, "1 must be true or false"),
        ({"op_debug_level": True}, "True must be a whole number"),
        ({"op_debug_level": 9}, "9 must be one of 0, 1"),
        ({"variable_memory_max_size": "8 GB"}, "must be bytes"),
        ({"variable_memory_max_size": "6 * 1024 * 1024 * 1024"}, "add up to 32.0 GB"),
        ({"op_compiler_cache_dir": "/no/such"}, "/no/such: no such folder"),
        ({"enable_dump": True}, "enable_dump needs dump_path"),
        ({"dump_path": "/tmp"}, "dump_path has no effect"),
        ({"dump_step": "0"}, "dump_step has no effect without enable_dump"),
        ({"enable_dump": True, "enable_dump_debug": True, "dump_path": "/tmp"}, "exclude each other"),
        ({"profiling_mode": True}, "needs profiling_options"),
        ({"precision_mode": "force_fp16"}, "an option of its own, --precision_mode"),
        ({"deterministic": 1}, "an option of its own, --deterministic"),
        ({"dynamic_input": True}, "every shape of this model is known"),
        ({"iterations_per_loop": 10}, "needs one training operation fed by a dataset in the graph"),
        ({"modify_mixlist": "/dev/null"}, "/dev/null: no such file"),
        ({"op_debug_level": 2, "op_compiler_cache_dir": "/tmp"}, "op_debug_level 2 switches off the cache"),
        ({"op_debug_level": 1, "op_compiler_cache_mode": "force"}, "op_debug_level 1 switches off the cache"),
        ({"session_device_id": -1}, "session_device_id: -1 must be 0 or more"),
        *(
            ({"enable_dump": True, "dump_path": "/tmp", "dump_step": step}, "must be steps and ranges")
            for step in ("", "one", "0|", "|0", "5-3", "4-4", "0,5", "1 | 2")
        ),
        (
            {"enable_dump": True, "dump_path": "/tmp", "dump_step": "|".join(map(str, range(101)))},
            "101 steps and ranges; at most 100",
        ),
    ],
)
def test_what_would_be_ignored_or_fail_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput) as raised:
        checked(values)
    assert said in str(raised.value) and str(raised.value).startswith("--npu_parameters: ")


@pytest.mark.parametrize("text", ["[]", "{", "op_debug_level=1"])
def test_anything_but_an_object_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="JSON"):
        npu_options.parse_parameters(text)


def test_a_list_of_operations_needs_a_mixed_mode(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text("{}")
    values = {"modify_mixlist": str(tmp_path / "list.json")}
    assert checked(values, mode="allow_mix_precision")
    with pytest.raises(BadInput, match="CANN refuses it with --precision_mode force_fp32"):
        checked(values)


def test_a_key_of_a_newer_adapter_needs_its_cann(tmp_path: Path) -> None:
    values = {"enable_dump": True, "dump_path": str(tmp_path), "dump_data": "stats"}
    assert checked(values, NEW) == values
    with pytest.raises(BadInput, match=r"dump_data: needs CANN 6.3 or newer; here is 5.0.4.alpha005"):
        checked(values)


def test_float32_convolutions_are_the_default_as_far_as_a_chip_has_them() -> None:
    assert checked_mode("", OLD, FIRST) == checked_mode("", OLD, None) == "force_fp32"
    assert checked_mode("", NEW, A2) == checked_mode("", NEWEST, A3) == "must_keep_origin_dtype"
    assert set(PRECISION_MODES) == set(train_options.PRECISION_MODES)


@pytest.mark.parametrize(
    ("mode", "installed", "card", "said"),
    [
        ("cube_fp16in_fp32out", OLD, FIRST, "needs CANN 6.3 or newer; here is 5.0.4"),
        ("allow_mix_precision_fp16", UNKNOWN, FIRST, "here is one of unknown version"),
        ("must_keep_origin_dtype", OLD, FIRST, "an Ascend 910 cannot convolve in it"),
        ("must_keep_origin_dtype", NEW, Card("910ProB", "OK"), "an Ascend 910 cannot convolve in it"),
        ("allow_fp32_to_bf16", NEW, None, "chip: unknown"),
        ("force_fp16", NEW, FIRST, "is for online inference, not for training"),
        ("force_fp16", NEWEST, A2, "is for online inference, not for training"),
    ],
)
def test_a_mode_that_the_card_or_cann_lacks_is_refused(
    mode: str, installed: Cann, card: Card | None, said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        checked_mode(mode, installed, card)


@pytest.mark.parametrize("card", [A2, A3, Card("Ascend910B4", "OK"), Card("910_9391", "OK")])
def test_newer_chips_have_the_newer_modes(card: Card) -> None:
    assert checked_mode("allow_mix_precision_bf16", NEW, card) == "allow_mix_precision_bf16"


def test_a_loss_scale_is_off_dynamic_or_a_number() -> None:
    assert [loss_scale(text) for text in ("off", "dynamic", "1024")] == [None, "dynamic", "1024"]
    for text in ("on", "0", "-8", "nan", "inf"):
        with pytest.raises(BadInput, match=f"--loss_scale {text}"):
            loss_scale(text)
