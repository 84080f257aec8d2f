"""DualGAN on TensorFlow 1.15's API, for Python 3.7 and newer.

The package's root imports no TensorFlow: what other programs need of it are the data contracts
``dualgan.run_folder``, ``dualgan.dataset_folder`` and ``dualgan.errors``.

Paper: Yi et al., "DualGAN: Unsupervised Dual Learning for Image-to-Image Translation", arXiv 1704.02510.
"""

__version__ = "0.1.0"
