"""Services that tests start on the loopback interface, and that are stopped on leaving: PostgreSQL, S3."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS = 180.0
S3_KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


@dataclass(frozen=True)
class Database:
    """An empty database, and who may log in."""

    port: int
    name: str = "tracking"
    user: str = "mlflow"
    password: str = "correct-horse"

    @property
    def uri(self) -> str:
        return f"postgresql+psycopg2://{self.user}:{self.password}@127.0.0.1:{self.port}/{self.name}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _postgresql_program(name: str) -> str:
    """Debian keeps the programs of each version apart, and off the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    program = str(found[-1]) if found else shutil.which(name)
    assert program, f"no {name} in /usr/lib/postgresql or on the PATH"
    return program


def _as_its_user(command: list[str]) -> list[str]:
    """PostgreSQL refuses to run as root: then the user that its package makes runs it."""
    return ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else command


@contextlib.contextmanager
def postgresql_database() -> Iterator[Database]:
    """An empty database of a cluster of its own, which asks for its password."""
    # A socket's path may have 107 characters, and its user must be able to pass through every folder above.
    folder = Path(subprocess.check_output(["mktemp", "-d", "/tmp/postgresql.XXXXXX"], text=True).strip())
    database = Database(free_port())
    password = folder / "password"
    password.write_text(database.password)
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        for path in (folder, password):
            os.chown(path, owner.pw_uid, owner.pw_gid)
    data = folder / "data"

    def run(program: str, *arguments: str) -> None:
        command = _as_its_user([_postgresql_program(program), *arguments])
        environment = {**os.environ, "PGPASSWORD": database.password}
        answer = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert answer.returncode == 0, answer.stderr + answer.stdout

    options = f"-h 127.0.0.1 -p {database.port} -k {folder} -c fsync=off"
    try:
        flags = ("-A", "scram-sha-256", "--pwfile", str(password), "-E", "UTF8", "--no-sync")
        run("initdb", "-D", str(data), "-U", database.user, *flags)
        run("pg_ctl", "-D", str(data), "-o", options, "-l", str(folder / "log"), "-w", "start")
        try:
            run("createdb", "-h", "127.0.0.1", "-p", str(database.port), "-U", database.user, database.name)
            yield database
        finally:
            run("pg_ctl", "-D", str(data), "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def s3_service(bucket: str) -> Iterator[str]:
    """The address of an S3 service with one bucket."""
    # Imported late: moto takes a second, and most tests need but a port.
    from moto.server import ThreadedMotoServer

    service = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    service.start()
    try:
        host, port = service.get_host_and_port()
        address = f"http://{host}:{port}"
        s3_client(address).create_bucket(Bucket=bucket)
        yield address
    finally:
        service.stop()


def s3_client(address: str) -> Any:
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=address,
        aws_access_key_id=S3_KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=S3_KEYS["AWS_SECRET_ACCESS_KEY"],
        region_name=S3_KEYS["AWS_DEFAULT_REGION"],
    )
