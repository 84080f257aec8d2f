#!/bin/sh
# standalone.sh VERSION LOCK VENDOR_VERSION VENDOR_LOCK: what goes beside a vendor's own Python with TensorFlow 1.15.
#   /opt/python3.11        Python VERSION with the packages of LOCK; needs nothing of the system but glibc 2.28 or newer
#   /opt/trainer-packages  the packages of VENDOR_LOCK for the vendor's Python, of version VENDOR_VERSION
set -eu
version=$1 lock=$2 vendor_version=$3 vendor_lock=$4
platform=$(uname -m)-manylinux_2_28

python3 -m venv tools
tools/bin/pip install --no-cache-dir --require-hashes -r requirements/uv.txt
# uv knows the checksum of every build of Python that it downloads.
tools/bin/uv --no-cache python install --no-bin --install-dir pythons "$version"
mv pythons/cpython-"$version"-* /opt/python3.11
python=/opt/python3.11/bin/python3.11

install() {
  tools/bin/uv --no-cache pip install --python "$python" --require-hashes --python-platform "$platform" \
    ${PIP_INDEX_URL:+--default-index "$PIP_INDEX_URL"} ${PIP_EXTRA_INDEX_URL:+--index "$PIP_EXTRA_INDEX_URL"} "$@"
}
install --break-system-packages --compile-bytecode -r "$lock"
install --python-version "$vendor_version" --target /opt/trainer-packages -r "$vendor_lock"

site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
printf '%s\n' /opt/dualgan-parity /opt/dualgan-parity/components >"$site/dualgan-parity.pth"
rm -rf /opt/python3.11/include /opt/python3.11/share "$site"/pip "$site"/pip-*
find "$site"/pandas "$site"/scipy "$site"/skimage -type d -name tests -prune -exec rm -rf {} +
