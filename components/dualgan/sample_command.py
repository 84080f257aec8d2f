"""Drawing the validation images of a trained run."""

from pathlib import Path
from typing import Optional

from dualgan import image_cache, networks
from dualgan.checkpoints import Checkpoints
from dualgan.dataset_folder import checked_description, require_training_images
from dualgan.devices import open_recorded_device
from dualgan.errors import BadInput
from dualgan.options import TrainOptions, from_dict, validated
from dualgan.run_folder import RunFolder, read_json, read_samples
from dualgan.sample_graph import SampleGraph, create_variables
from dualgan.sampling import draw, sample_inputs
from dualgan.tensorflow_v1 import tf
from dualgan.training import network_shape


def sample(
    run_dir: Path,
    output: Path,
    data_dir: Optional[Path] = None,
    count: int = 0,
    device_name: Optional[str] = None,
    cache_dir: Optional[Path] = None,
) -> int:
    """Draw ``count`` validation pairs (0: all) with the newest checkpoint of ``run_dir``; how many were drawn."""
    if count < 0:
        raise BadInput(f"--count {count}: must be 0 or more")
    folder, output = RunFolder(Path(run_dir)), Path(output)
    _check_replaceable(output)
    options = recorded_options(folder)
    if data_dir:
        options = validated(type(options)(**dict(options.as_dict(), data_dir=str(data_dir))))
    dataset = Path(options.data_dir)
    require_training_images(dataset)
    device = open_recorded_device(options, device_name)
    cache = Path(cache_dir or options.cache_dir or image_cache.default_folder())
    inputs = sample_inputs(options, checked_description(dataset).digest, cache, count)
    with tf.Graph().as_default() as graph:
        variables = create_variables(networks.generators_variables(network_shape(options)), device.use_resource)
        drawing = SampleGraph(network_shape(options), list(variables.values()), device.kernels())
        checkpoints = Checkpoints(folder.checkpoints, options.keep_checkpoints)
        graph.finalize()
        with tf.Session(config=device.session_config()) as session:
            checkpoint, _ = checkpoints.restore_newest(session)
            if checkpoint is None:
                raise BadInput(f"{folder.checkpoints}: no checkpoint to draw with; train first")
            draw(output, inputs, drawing.sample_callable(session))
    return len(inputs)


def recorded_options(folder: RunFolder) -> TrainOptions:
    """The options of a run. Raises BadInput where ``folder`` is no run folder or its options.json is damaged."""
    if not folder.options.is_file():
        raise BadInput(f"{folder.path}: no run folder (it has no options.json)")
    try:
        return from_dict(read_json(folder.options)["options"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{folder.options}: damaged ({error!r})") from None


def _check_replaceable(output: Path) -> None:
    """Raise BadInput where ``output`` holds anything but sample pictures: drawing replaces the folder."""
    if output.is_dir():
        samples = {sample.path for sample in read_samples(output)}
        others = [path for path in output.iterdir() if path not in samples]
        if others:
            raise BadInput(f"{output}: holds {others[0].name}, no sample; name an empty or new folder")
    elif output.exists():
        raise BadInput(f"{output}: not a folder; name an empty or new one")
