#!/usr/bin/env bash
# tf1.sh UV VENV [--optional]: TensorFlow 1.15.0 in an environment of its own, on the Python 3.7 of this machine.
#
# Without a Python 3.7 that is no failure: a line says so, and everything that needs no second runtime works. TF1_PYTHON
# names one. With --optional it is no failure either if the packages cannot be installed.
set -euo pipefail
uv=$1 venv=$2 optional=${3:-}
root=$(cd "$(dirname "$0")/.." && pwd)
lock=$root/requirements/tf1.txt
left_out="the second runtime, TensorFlow 1.15, is left out"

# A shim of a version manager may be there and not start, or hang.
is_python_37() {
  [ "$(timeout -k 1 30 "$1" -c 'import sys, venv; print(sys.version_info[:2])' 2>/dev/null </dev/null)" = "(3, 7)" ]
}

if [ -n "${TF1_PYTHON:-}" ]; then
  is_python_37 "$TF1_PYTHON" || { echo "error: TF1_PYTHON=$TF1_PYTHON: not a Python 3.7 that starts" >&2; exit 2; }
  python=$TF1_PYTHON optional=
else
  python= pyenv=${PYENV_ROOT:-~/.pyenv}
  while IFS= read -r folder; do
    if is_python_37 "$folder/python3.7"; then python=$folder/python3.7; break; fi
  done < <(tr : '\n' <<<"$PATH"; ls -dr "$pyenv"/versions/3.7*/bin 2>/dev/null)
  [ -n "$python" ] || { echo "no Python 3.7 found: $left_out (TF1_PYTHON=/path names one)"; exit 0; }
fi

digest=$(sha256sum "$lock" | cut -d ' ' -f 1)
if [ "$(cat "$venv/ready" 2>/dev/null)" = "$digest" ] && is_python_37 "$venv/bin/python"; then
  exit 0
fi
echo "setting up $venv: TensorFlow 1.15.0 on $python"
rm -f "$venv/ready"
if said=$("$uv" venv --quiet --clear --python "$python" "$venv" 2>&1 &&
  "$uv" pip sync --quiet --python "$venv/bin/python" --require-hashes "$lock" 2>&1); then
  echo "$root/components" >"$(echo "$venv"/lib/python3.7/site-packages)/dualgan-parity.pth"
  echo "$digest" >"$venv/ready"
else
  rm -rf "$venv"
  reason="cannot be installed: $(tail -n 1 <<<"$said")"
  [ -n "$optional" ] || { echo "error: TensorFlow 1.15 $reason" >&2; exit 1; }
  echo "$left_out: it $reason"
fi
