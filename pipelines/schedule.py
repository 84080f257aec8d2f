"""A recurring run of a cluster, created so that it fires."""

from collections.abc import Mapping
from typing import Any

import kfp_server_api

from dualgan.errors import BadInput
from pipelines.kfp_api import KfpApi
from pipelines.package import Package

CRON_FIELDS = 6


def schedule(
    api: KfpApi, package: Package, experiment_id: str, name: str, cron: str, parameters: Mapping[str, Any]
) -> str:
    """The id of a new, enabled recurring run; one at a time, and none made up for afterwards.

    cron: CRON_FIELDS fields, seconds first. Raises BadInput where a recurring run of that name is there already.
    """
    if api.recurring_run(experiment_id, name) is not None:
        raise BadInput(f"{api.at.label}: a recurring run {name} is there already; delete it, or give another --name")
    recurring = kfp_server_api.V2beta1RecurringRun(
        display_name=name,
        experiment_id=experiment_id,
        namespace=api.at.namespace or None,
        pipeline_spec=package.to_api(),
        runtime_config=kfp_server_api.V2beta1RuntimeConfig(parameters=dict(parameters)),
        trigger=kfp_server_api.V2beta1Trigger(cron_schedule=kfp_server_api.V2beta1CronSchedule(cron=cron)),
        mode=kfp_server_api.RecurringRunMode.ENABLE,
        max_concurrency="1",
        no_catchup=True,
    )
    return api.schedule(recurring)
