"""--npu_parameters and --precision_mode: what fits a chip and its CANN, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from dualgan.devices import npu_options
from dualgan.devices.npu_options import Cann, checked_mode, generation, is_newer_than_910, product_type
from dualgan.errors import BadInput
from dualgan.npu_smi import Card

OLD, NEW, NEWEST, UNKNOWN = (
    Cann(version, "21.0.2", Path("/usr/local/Ascend")) for version in ("5.0.4.alpha005", "7.0.0", "9.0.0", None)
)
FIRST, A2, A3 = Card("910A", "OK", 32255), Card("910B3", "OK", 65536), Card("Ascend910", "OK", 65536)


@pytest.mark.parametrize(
    ("name", "memory", "expected"),
    [
        ("910A", 32255, "910"),
        ("910ProB", 32768, "910"),
        ("910B", 32768, "910"),
        ("Ascend910", 32768, "910"),
        ("Ascend910", None, "910"),
        ("Ascend910", 65536, "A3"),
        ("910B1", 65536, "A2"),
        ("910B4", 32768, "A2"),
        ("Ascend910B2", 65536, "A2"),
        ("910_9382", 65536, "A3"),
        ("Ascend910_9391", 65536, "A3"),
        ("950PR", 114688, "950"),
        ("310P3", 21527, None),
    ],
)
def test_a_card_s_generation(name: str, memory: int | None, expected: str | None) -> None:
    card = Card(name, "OK", memory)
    assert generation(card) == expected
    assert is_newer_than_910(card) == (expected in ("A2", "A3", "950"))
    assert generation(None) is None and not is_newer_than_910(None)


@pytest.mark.parametrize(
    ("mode", "hf32", "expected"),
    [
        ("force_fp32", False, "float16"),
        ("allow_mix_precision", True, "float16"),
        ("must_keep_origin_dtype", False, "float32"),
        ("must_keep_origin_dtype", True, "hfloat32"),
        ("allow_fp32_to_bf16", False, "bfloat16"),
        ("allow_mix_precision_bf16", False, "bfloat16"),
    ],
)
def test_what_factors_of_products_are_rounded_to(mode: str, hf32: bool, expected: str) -> None:
    assert product_type(mode, hf32) == expected


@pytest.mark.parametrize(
    ("mode", "installed", "card", "expected"),
    [
        *(("", OLD, card, "force_fp32") for card in (FIRST, None)),
        *(("", NEW, card, "must_keep_origin_dtype") for card in (A2, A3)),
        *(
            ("allow_mix_precision_bf16", NEW, card, "allow_mix_precision_bf16")
            for card in (A2, A3, Card("Ascend910B4", "OK"), Card("910_9391", "OK"))
        ),
    ],
)
def test_float32_is_the_default_as_far_as_a_chip_has_it_and_newer_chips_have_the_newer_modes(
    mode: str, installed: Cann, card: Card | None, expected: str
) -> None:
    assert checked_mode(mode, installed, card) == expected


@pytest.mark.parametrize(
    ("mode", "installed", "card", "said"),
    [
        ("cube_fp16in_fp32out", OLD, FIRST, "needs CANN 6.3 or newer; here is 5.0.4"),
        ("allow_mix_precision_fp16", UNKNOWN, FIRST, "here is one of unknown version"),
        ("must_keep_origin_dtype", OLD, FIRST, "an Ascend 910 cannot convolve in it"),
        ("allow_fp32_to_bf16", NEW, None, "chip: unknown"),
        ("force_fp16", NEW, FIRST, "is for online inference, not for training"),
    ],
)
def test_a_mode_that_the_card_or_cann_lacks_is_refused(
    mode: str, installed: Cann, card: Card | None, said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        checked_mode(mode, installed, card)


def checked(
    values: dict[str, Any], installed: Cann = OLD, mode: str = "force_fp32", card: Card | None = FIRST
) -> dict[str, Any]:
    return npu_options.check_parameters(npu_options.parse_parameters(json.dumps(values)), installed, mode, card)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"op_select_implmode": "high_precision_for_all"},
        {"enable_exception_dump": 2},
        {"op_debug_level": 1, "op_compiler_cache_mode": "disable"},
        {"session_device_id": 0},
        {"enable_dump": True, "dump_path": "/tmp", "dump_step": "0|5|10-20", "dump_mode": "all"},
        {"enable_dump_debug": True, "dump_path": "/tmp", "dump_debug_mode": "aicore_overflow"},
        {"graph_memory_max_size": "16 * 1024 * 1024 * 1024", "variable_memory_max_size": "16106127360"},
    ],
)
def test_what_the_adapter_takes_is_taken(values: dict[str, Any]) -> None:
    assert npu_options.parse_parameters("") == {}
    assert checked(values) == values


def test_profiling_options_may_be_an_object() -> None:
    profiling = {"profiling_mode": True, "profiling_options": {"output": "/tmp", "task_trace": "on"}}
    assert json.loads(checked(profiling)["profiling_options"])["task_trace"] == "on"


def test_a_folder_of_where_it_was_given_keeps_compiled_operations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kernels").mkdir()
    monkeypatch.chdir(tmp_path)
    expected = {"op_compiler_cache_dir": str(tmp_path / "kernels"), "op_compiler_cache_mode": "enable"}
    assert checked({"op_compiler_cache_dir": "kernels"}) == expected


def test_a_folder_must_be_one_to_write_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may write everywhere: the answer is that of another user.
    monkeypatch.setattr("os.access", lambda path, mode: False)
    for values in ({"enable_dump": True, "dump_path": str(tmp_path)}, {"debug_dir": str(tmp_path)}):
        with pytest.raises(BadInput, match="this user may not read and write in it"):
            checked(values)


@pytest.mark.parametrize(
    ("values", "refused", "taken", "said"),
    [
        (
            {"enable_dump_debug": True, "dump_path": "/tmp", "dump_debug_mode": "aicore_overflow"},
            {"card": A2},
            {"card": FIRST},
            "dump_debug_mode: must be all on Atlas A2 and A3",
        ),
        (
            {"modify_mixlist": __file__},
            {"mode": "force_fp32"},
            {"mode": "allow_mix_precision"},
            "CANN refuses it with --precision_mode force_fp32",
        ),
        (
            {"enable_dump": True, "dump_path": "/tmp", "dump_data": "stats"},
            {"installed": OLD},
            {"installed": NEW},
            "dump_data: needs CANN 6.3 or newer; here is 5.0.4.alpha005",
        ),
        *(
            (
                {"graph_memory_max_size": f"60 * {1024**3}"},
                {"installed": installed, "card": A2},
                {"installed": NEWEST, "card": card},
                r"add up to 70.0 GB; this card has 64 \(unless set",
            )
            for installed, card in ((OLD, A2), (NEW, A3), (UNKNOWN, FIRST))
        ),
        (
            {"graph_memory_max_size": f"40 * {1024**3}"},
            {"card": FIRST},
            {"card": A2},
            "add up to 45.0 GB; this card has 31",
        ),
    ],
)
def test_what_depends_on_chip_mode_or_cann_is_refused_by_the_others(
    values: dict[str, Any], refused: dict[str, Any], taken: dict[str, Any], said: str
) -> None:
    assert checked(values, **taken) == values
    with pytest.raises(BadInput, match=said):
        checked(values, **refused)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"over_dump": True}, "over_dump: unknown"),
        ({"graph_memory_max_size": 8}, "8 must be a string"),
        ({"enable_dump": 1}, "1 must be true or false"),
        ({"op_debug_level": True}, "True must be a whole number"),
        ({"op_debug_level": 9}, "9 must be one of 0, 1"),
        ({"variable_memory_max_size": "8 GB"}, "must be bytes"),
        ({"variable_memory_max_size": "6 * 1024 * 1024 * 1024"}, "add up to 32.0 GB; this card has 31"),
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
