# Sourced, by bash: the environment of one Ascend card, as the vendor's own scripts make it. What is set already stays.
# set_env.sh is not sourced by a login shell in a container, and a cluster may start a program past the entry point.
ascend_root=${DUALGAN_ASCEND_ROOT:-/usr/local/Ascend}
# CANN 8.5 and newer; the toolkit or the runtime (nnae) of older ones; their adapter.
for ascend_file in cann/set_env.sh ascend-toolkit/set_env.sh nnae/set_env.sh tfplugin/set_env.sh; do
  if [ -f "$ascend_root/$ascend_file" ]; then . "$ascend_root/$ascend_file"; fi
done
# From 8.0 on the adapter is a wheel that is installed into a folder, and nothing puts that on PYTHONPATH.
for ascend_folder in "${TFPLUGIN_INSTALL_PATH:-}" "$ascend_root/tfplugin" "$ascend_root/tfplugin/python/site-packages"; do
  if [ -d "$ascend_folder/npu_bridge" ] || [ -d "$ascend_folder/npu_device" ]; then
    export PYTHONPATH=$ascend_folder${PYTHONPATH:+:$PYTHONPATH}
    break
  fi
done
for ascend_folder in driver/lib64 driver/lib64/common driver/lib64/driver; do
  if [ -d "$ascend_root/$ascend_folder" ]; then
    LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$ascend_root/$ascend_folder
  fi
done
export LD_LIBRARY_PATH
export RANK_ID=${RANK_ID:-0} RANK_SIZE=${RANK_SIZE:-1} JOB_ID=${JOB_ID:-10087}
# DEVICE_ID is a card's number in the machine, which the adapter turns into one in the container where this is not set.
if [ -z "${DEVICE_ID:-}" ]; then export ASCEND_DEVICE_ID=${ASCEND_DEVICE_ID:-0}; fi
# With a table of ranks the adapter would wait for cards that are not there.
unset RANK_TABLE_FILE ascend_root ascend_file ascend_folder
# What the vendor's files put before it may hold another python3.
PATH=/opt/dualgan-parity/bin:$PATH
