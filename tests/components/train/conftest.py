"""S3 as the dataset's tests have it."""

from tests.components.dataset.conftest import s3, s3_server

__all__ = ["s3", "s3_server"]
