"""This machine's Docker engine."""

import docker
import requests
from docker.errors import DockerException

from dualgan.errors import DualGANError, first_line

# docker-py passes on what its connection raises if the engine goes away.
ENGINE_ERRORS = (DockerException, requests.RequestException)


def connect_to_engine() -> docker.DockerClient:
    """Return a client of the engine. Raises DualGANError if none answers."""
    try:
        client = docker.from_env()
        client.ping()
    except ENGINE_ERRORS as error:
        raise DualGANError(f"no Docker engine answers ({first_line(error)}); start one, or set DOCKER_HOST") from None
    return client
