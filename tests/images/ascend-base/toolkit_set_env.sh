export ASCEND_TOOLKIT_HOME=/usr/local/Ascend/ascend-toolkit/latest
export ASCEND_OPP_PATH=$ASCEND_TOOLKIT_HOME/opp
export LD_LIBRARY_PATH=$ASCEND_TOOLKIT_HOME/fwkacllib/lib64:$LD_LIBRARY_PATH
export PATH=$ASCEND_TOOLKIT_HOME/fwkacllib/ccec_compiler/bin:$PATH
