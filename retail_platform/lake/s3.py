"""A lake in a bucket of S3, with its catalog in AWS Glue, where Athena and Spark find its tables."""

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.glue import GlueCatalog
from pyiceberg.exceptions import NoSuchIcebergTableError, NoSuchPropertyException
from pyiceberg.io import FileIO
from pyiceberg.table import Table
from pyiceberg.typedef import EMPTY_DICT, Identifier, Properties

from retail_platform.aws import aws_errors, client, region, session, told
from retail_platform.contracts.loader import LAYERS
from retail_platform.errors import ConfigurationError, LakeError, RetailError
from retail_platform.lake.lease import Lease
from retail_platform.lake.storage import StoredFile

_NO_BUCKET = "create the bucket, or correct RETAIL_LAKE_BUCKET"
_NO_DATABASE = "create the database, or correct RETAIL_DATABASE_PREFIX"
_NO_FILE = (
    "its files were deleted or moved: restore them, or drop the table in Glue and build it again"
)
_DELETED_AT_ONCE = 1000  # what S3 takes in one request

_ARROW_ERROR = re.compile(r"AWS Error (?:UNKNOWN.*ExceptionName: )?(\w+).* during (\w+) operation")

log = logging.getLogger(__name__)


class S3Storage:
    """A prefix of a bucket; nothing is asked of AWS until it is used.

    Attributes:
        bucket: The bucket's name.
        prefix: Where in the bucket.
        database_prefix: What the names of Glue's databases begin with, one for each layer: they
            share one namespace with all others of the account.
    """

    def __init__(self, bucket: str, prefix: str = "lake", *, database_prefix: str) -> None:
        self.bucket = bucket
        self.prefix = prefix
        self.database_prefix = database_prefix
        self._lease: Lease | None = None

    @property
    def warehouse(self) -> str:
        """The prefix's URI."""
        return f"s3://{self.bucket}/{self.prefix}"

    @cached_property
    def _s3(self) -> Any:
        return client("s3")

    @cached_property
    def catalog(self) -> Catalog:
        """AWS Glue's Data Catalog."""
        self._require_bucket()
        with aws_errors(f"opening {self._databases}", _NO_DATABASE):
            catalog = _Catalog("retail", client("glue"), **self._properties())
            for namespace in map(self.namespace, LAYERS):
                # Asked first: where the databases are there, nobody needs the right to create any.
                if not catalog.namespace_exists(namespace):
                    catalog.create_namespace_if_not_exists(namespace)
        return catalog

    def _require_bucket(self) -> None:
        """Says what is wrong with the bucket, of which pyarrow learns but a number."""
        with aws_errors(f"opening the lake in {self._place}", _NO_BUCKET):
            found = self._s3.head_bucket(Bucket=self.bucket)["BucketRegion"]
        if found != region():
            raise ConfigurationError(
                f"the lake in {self._place} is in {found}, but the region in use is {region()}: "
                f"set AWS_DEFAULT_REGION={found}, or correct RETAIL_LAKE_BUCKET"
            )

    def _properties(self) -> dict[str, str]:
        properties = {
            "warehouse": self.warehouse,
            "s3.region": region(),  # else pyiceberg asks AWS for the bucket's
            # pyarrow would wait for 1 s and 3 s, too short for a laptop far from the region.
            "s3.connect-timeout": "10",
            "s3.request-timeout": "60",
        }
        usual = session().client("s3", config=Config(ignore_configured_endpoint_urls=True))
        if self._s3.meta.endpoint_url != usual.meta.endpoint_url:
            # AWS's clients look for a configured endpoint by themselves; pyarrow does not.
            properties["s3.endpoint"] = self._s3.meta.endpoint_url
        return properties

    def namespace(self, layer: str) -> str:
        """The database of a layer."""
        return f"{self.database_prefix}{layer}"

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        """A lease on an object, which runs out when its holder is killed."""
        lease = Lease(self._s3, self.bucket, f"{self.prefix}/lake.lock")
        with lease.held():
            self._lease = lease
            try:
                yield
            finally:
                self._lease = None

    def require_held(self) -> None:
        """Renews the lease of who is inside `exclusively`."""
        if self._lease is not None:
            self._lease.require()

    @contextmanager
    def reading(self, name: str) -> Iterator[None]:
        """Turns errors of AWS, which come from boto3 and pyarrow, into ours."""
        with self._errors(f"reading {name}"):
            yield

    @contextmanager
    def publishing(self, name: str) -> Iterator[None]:
        """The same, as `LakeError`."""
        try:
            with self._errors(f"writing {name}"):
                yield
        except RetailError as error:
            raise LakeError(
                f"{name} could not be published: {error}; readers still see the last version"
            ) from error

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        """Tables are found and committed by boto3, in Glue; their files are pyarrow's, in S3."""
        try:
            yield
        except (ClientError, BotoCoreError) as error:
            raise told(error, f"{doing} in {self._databases}", _NO_DATABASE) from error
        except (NoSuchIcebergTableError, NoSuchPropertyException) as error:
            raise ConfigurationError(
                f"{doing}: {self._databases} have a table of this name that is no Iceberg table "
                f"({error}): drop it, or set another RETAIL_DATABASE_PREFIX"
            ) from error
        except FileNotFoundError as error:
            raise LakeError(f"{doing} in {self._place}: {error}: {_NO_FILE}") from error
        except OSError as error:
            reason = _as_client_error(error)
            raise told(reason, f"{doing} in {self._place}", _NO_BUCKET) from error

    def files(self, uri: str) -> Sequence[StoredFile]:
        """All objects below a prefix."""
        with aws_errors(f"listing {uri} (RETAIL_LAKE_BUCKET)", _NO_BUCKET):
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=f"{self._key_of(uri)}/"
            )
            return [
                StoredFile(
                    f"s3://{self.bucket}/{found['Key']}", found["Size"], found["LastModified"]
                )
                for page in pages
                for found in page.get("Contents", ())
            ]

    def canonical(self, uri: str) -> str:
        """As we write it: Hadoop's s3a:// and s3n:// are the same place."""
        return f"s3://{uri.partition('://')[2]}"

    def put(self, path: Path, uri: str) -> None:
        """Uploads a file and deletes it here."""
        with aws_errors(f"writing to {self._place}", _NO_BUCKET):
            self._s3.upload_file(str(path), self.bucket, self._key_of(uri))
        path.unlink()

    def fetch(self, uri: str, path: Path) -> None:
        """Downloads an object."""
        with aws_errors(f"reading {uri} (RETAIL_LAKE_BUCKET)", _NO_FILE):
            self._s3.download_file(self.bucket, self._key_of(uri), str(path))

    def delete(self, uris: Sequence[str]) -> None:
        """Deletes objects."""
        with aws_errors(f"deleting from {self._place}", _NO_BUCKET):
            for start in range(0, len(uris), _DELETED_AT_ONCE):
                keys = [self._key_of(uri) for uri in uris[start : start + _DELETED_AT_ONCE]]
                answer = self._s3.delete_objects(
                    Bucket=self.bucket,
                    Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True},
                )
                for failed in answer.get("Errors", ()):
                    raise ClientError({"Error": failed}, "DeleteObjects")

    def discard(self, uri: str) -> None:
        """Deletes all below a prefix."""
        try:
            self.delete([file.uri for file in self.files(uri)])
        except RetailError as error:  # of something that has failed already, and said why
            log.warning("%s is left for `retail vacuum`: %s", uri, error)

    def _key_of(self, uri: str) -> str:
        return uri.removeprefix(f"s3://{self.bucket}/")

    @property
    def _place(self) -> str:
        return f"{self.warehouse} (RETAIL_LAKE_BUCKET)"

    @property
    def _databases(self) -> str:
        return f"Glue's databases {self.database_prefix}* (RETAIL_DATABASE_PREFIX)"


class _Catalog(GlueCatalog):
    """Glue, of which only the tables of one lake are ours.

    It keeps no old versions of a table's entry, which is pyiceberg's default and stays so: they
    count against a limit, and Iceberg's own history is the one that anybody reads.
    """

    def _load_file_io(
        self, properties: Properties = EMPTY_DICT, location: str | None = None
    ) -> FileIO:
        """Files as boto3 is logged in: pyarrow by itself knows no roles of profiles and no SSO."""
        return super()._load_file_io({**properties, **_login()}, location)

    def load_table(self, identifier: str | Identifier) -> Table:
        """A table of the lake.

        Raises:
            ConfigurationError: It is another lake's, into which a build here must not publish.
        """
        table = super().load_table(identifier)
        if not table.location().startswith(f"{self.properties['warehouse']}/"):
            raise ConfigurationError(
                f"{'.'.join(table.name())} in Glue is at {table.location()}, which is not in the "
                f"lake {self.properties['warehouse']}: two lakes need two names, so set another "
                "RETAIL_DATABASE_PREFIX, or correct RETAIL_LAKE_BUCKET"
            )
        return table


def _login() -> dict[str, str]:
    """What boto3 is logged in with at the moment, as properties of pyiceberg."""
    found = session().get_credentials()
    if found is None:
        return {}
    login = found.get_frozen_credentials()
    properties = {
        "s3.access-key-id": login.access_key,
        "s3.secret-access-key": login.secret_key,
        "s3.session-token": login.token,
    }
    return {name: value for name, value in properties.items() if value}


def _as_client_error(error: OSError) -> Exception:
    """An error of pyarrow as boto3 would have raised it; AWS's code is in its text."""
    match = _ARROW_ERROR.search(str(error))
    if match is None:
        return error
    code, operation = str(match[1]), str(match[2])
    if code.isupper():  # ACCESS_DENIED, where AWS says AccessDenied
        code = code.title().replace("_", "")
    reason: Exception = ClientError({"Error": {"Code": code, "Message": str(error)}}, operation)
    return reason
