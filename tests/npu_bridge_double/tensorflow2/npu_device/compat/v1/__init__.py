"""npu_bridge, as the adapter's build translates it for TensorFlow 2."""
