"""Speed, as ratios measured side by side in one run."""

# Plain Keras, too, is measured with oneDNN, which `dmg_tf` turns on. After
# `dmg_tf_command`, it loads no TensorFlow: PyTorch's process may have none.
import dmg_tf_command  # noqa: F401

# isort: split
import dmg_tf  # noqa: F401
