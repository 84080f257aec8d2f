"""The adapter's library; as in every version, what the loader says of it is printed, and the import goes on."""

from npu_double.contract import load_library

try:
    npu_bridge_handle = load_library()
except Exception as error:
    print(str(error))  # noqa: T201
