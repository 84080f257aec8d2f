"""The command `parity gc`: list what no run and no registered model refers to, and delete it if asked to."""

import os
import re
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from components.common.cli import command
from components.common.console import print_line as print
from dualgan.errors import EXIT_FAILED, DualGANError, described
from parity.cluster import CLUSTER_PROFILE, PANEL, ConnectionOptions
from parity.options import PROFILE_HELP

UNITS = {"h": 3600, "d": 24 * 3600}


def add_command(app: typer.Typer) -> None:
    """Add the command to the application."""
    command(app, "gc", PANEL, "parity gc --pipeline-root s3://bucket/kfp --older-than 30d --delete")(collect)


def _age(text: str) -> int:
    found = re.fullmatch(r"(\d{1,5})([hd])", text)
    if not found:
        raise typer.BadParameter(f"'{text}' is no age, such as 7d or 12h")
    return int(found[1]) * UNITS[found[2]]


def collect(
    connection: ConnectionOptions,
    delete: Annotated[bool, typer.Option("--delete", help="Delete what is listed.")] = False,
    older_than: Annotated[
        int, typer.Option(parser=_age, metavar="AGE", help="Nothing that changed, ended or was deleted since: 7d, 12h.")
    ] = "7d",  # type: ignore[assignment]
    pipeline_root: Annotated[
        str, typer.Option(metavar="URI", help="Where KFP keeps artifacts: its defaultPipelineRoot, or a run's.")
    ] = "",
    only_this_kfp: Annotated[
        bool, typer.Option("--only-this-kfp", help="No other KFP writes or wrote there: delete what it doesn't know.")
    ] = False,
    profile: Annotated[
        str, typer.Option(metavar="NAME|FILE", help=f"Whose checkpoints. {PROFILE_HELP}")
    ] = CLUSTER_PROFILE,
    namespace: Annotated[str | None, typer.Option(help="As of submit.")] = None,
    tracking_uri: Annotated[
        str | None, typer.Option(help="MLflow; default: MLFLOW_TRACKING_URI, else the local store.")
    ] = None,
    results: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of runs/; default: .local.")] = None,
) -> int:
    """List what no run and no registered model refers to any more; with --delete, delete it.

    In MLflow: artifacts of runs that were deleted there. On this machine: folders of such runs, and those in which
    nothing was trained. With --endpoint, in S3: checkpoints of runs that are over, and below --pipeline-root artifacts
    of runs that were deleted in KFP. What KFP does not know may be another KFP's: without --only-this-kfp it is listed
    and left. A run, a comparison or a model that is still listed somewhere keeps its files, and so does a run that
    MLflow calls running. A server of MLflow does not say when a run was deleted: its age is that of the run's end.

    Exit codes: 0 done; 1 a server did not answer, or KFP is not the one whose bucket it is, and nothing was deleted; or
    something could not be deleted, which is named, and the rest was; 2 wrong input.
    """
    from pipelines import gc
    from pipelines.kfp_api import KfpApi
    from pipelines.kfp_endpoint import ENDPOINT_VARIABLES, endpoint
    from pipelines.local_run import LOCAL
    from pipelines.profile import load_profile

    before = time.time() - older_than
    found = gc.in_mlflow(tracking_uri, results or LOCAL, before)
    if connection.endpoint or pipeline_root or any(os.environ.get(name) for name in ENDPOINT_VARIABLES):
        at = endpoint(connection.endpoint, namespace, connection.ca_file, connection.header or ())
        found += gc.in_bucket(KfpApi(at), pipeline_root, load_profile(profile).checkpoints, before, only_this_kfp)
        if not pipeline_root:
            print("not looked at: KFP's artifacts; --pipeline-root says where they are")
    else:
        print("not looked at: KFP's bucket; --endpoint says which KFP is asked")
    failed = []
    for one in found:
        print(f"{one.place}: {_mebibytes(one.size)}, {one.reason}")
        if delete and one.delete:
            try:
                one.delete()
            except (DualGANError, OSError) as error:
                failed.append(one)
                said = described(error).removeprefix(f"{one.place}: ")
                print(f"error: {one.place}: not deleted: {said}", file=sys.stderr)
    done = [one for one in found if one.delete and one not in failed]
    total = f"{len(done)} place{'s' if len(done) != 1 else ''}, {_mebibytes(sum(one.size for one in done))}"
    left = f"; {len(failed)} could not be" if failed else ""
    print(f"deleted {total}{left}" if delete else f"{total}{'; --delete removes them' if done else ''}")
    return EXIT_FAILED if failed else 0


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"
