# Sourced, by bash: the environment of one Ascend card, as the vendor's own scripts make it. What is set already stays.
# set_env.sh is not sourced by a login shell in a container, and a cluster may start a program past the entry point.
for file in \
  /usr/local/Ascend/ascend-toolkit/set_env.sh \
  /usr/local/Ascend/nnae/set_env.sh \
  /usr/local/Ascend/tfplugin/set_env.sh; do
  if [ -f "$file" ]; then . "$file"; fi
done
for folder in /usr/local/Ascend/driver/lib64 /usr/local/Ascend/driver/lib64/common /usr/local/Ascend/driver/lib64/driver; do
  if [ -d "$folder" ]; then LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder; fi
done
export LD_LIBRARY_PATH
export ASCEND_DEVICE_ID=${ASCEND_DEVICE_ID:-${DEVICE_ID:-0}} RANK_ID=${RANK_ID:-0} RANK_SIZE=${RANK_SIZE:-1} JOB_ID=${JOB_ID:-10087}
# With a table of ranks the adapter would wait for cards that are not there.
unset RANK_TABLE_FILE
# What the vendor's files put before it may hold another python3.
PATH=/opt/dualgan-parity/bin:$PATH
