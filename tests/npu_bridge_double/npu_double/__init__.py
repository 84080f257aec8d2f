"""What the doubles of npu_bridge (TensorFlow 1.15) and npu_device (TensorFlow 2) have in common."""
