"""python -m components.publish: register a trained leg in MLflow's model registry."""

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from dualgan.errors import EXIT_FAILED, BadInput, DualGANError

DESCRIPTION = """Register a leg that finished as a model that MLflow serves.

The version gets the alias challenger; champion where the comparison passed and no loss is above the comparison's
bound times the present champion's. Both must be of the same data. Repeated, nothing is registered twice."""


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message}; see python -m components.publish --help")


def parser() -> Parser:
    made = Parser(
        prog="python -m components.publish",
        description=DESCRIPTION,
        epilog="exit code: 0 registered; 2 bad input, 1 failed",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("run_folder", type=Path, metavar="RUN_FOLDER", help="of the candidate")
    made.add_argument("comparison", type=Path, metavar="COMPARISON", help="folder with comparison.json")
    made.add_argument("--model", type=Path, help="folder of the checkpoints (default: RUN_FOLDER)")
    made.add_argument("--name", help="registered model (default: dualgan-DATASET)")
    made.add_argument("--tracking-uri", help="MLflow server or store (default: the one that training used)")
    made.add_argument("--experiment", help="default: the dataset's name")
    made.add_argument("--pipeline-run-id", help="default: the one that training had")
    made.add_argument("--leg", help="name in the comparison (default: the one that training had)")
    made.add_argument("--hours", type=float, default=0.0, help="how long to wait for MLflow (default: 0)")
    made.add_argument("--runtime", choices=("tf1", "tf2"), help="what exports (default: the one that trained)")
    return made


def main(arguments: list[str] | None = None) -> int:
    try:
        options = parser().parse_args(arguments)
        if not 0 <= options.hours < float("inf"):
            raise BadInput(f"--hours {options.hours}: must be 0 or more")
        # Imported late: MLflow takes seconds, a usage error none.
        from components.publish.publish import publish
        from components.tracking.placement import Placement

        place = Placement(
            tracking_uri=options.tracking_uri,
            experiment=options.experiment,
            pipeline_run_id=options.pipeline_run_id,
            leg=options.leg,
            runtime=options.runtime,
        )
        published = publish(
            options.run_folder, options.comparison, place, model=options.model, name=options.name, hours=options.hours
        )
    except DualGANError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_FAILED
    # MLflow starts its server by name, so that must be found.
    found = f"PATH={Path(sys.executable).parent}:$PATH MLFLOW_TRACKING_URI={published.tracking_uri}"
    print(f"serve it: {found} mlflow models serve -m {published.uri} --env-manager local")
    if published.page:
        print(f"page: {published.page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
