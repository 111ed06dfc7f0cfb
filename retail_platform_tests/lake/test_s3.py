"""What only a lake in a bucket can meet: a lock that runs out, and AWS that says no."""

import json
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from retail_platform.aws import client
from retail_platform.engines.protocol import DataFile
from retail_platform.errors import ConfigurationError, LakeError
from retail_platform.lake import lease, storage
from retail_platform.lake import s3 as s3_storage
from retail_platform.lake.lake import Lake, Publication
from retail_platform.lake.s3 import S3Storage
from retail_platform_tests.aws import LAKE_BUCKET, PIPES_BUCKET, REGION, as_user, make_older
from retail_platform_tests.lake.test_lake import AGES, SALES, SHOPS, ids, lake_in, publish, sale
from retail_platform_tests.parquet import path_of, write_files

LOCK = f"s3://{LAKE_BUCKET}/lake/lake.lock"
SHOP = [{"id": 1, "name": "a"}]
LISTS = ("s3:ListBucket", "s3:HeadBucket")  # the second is moto's; AWS knows the first alone


def s3_lake(bucket: str = LAKE_BUCKET, database_prefix: str = "retail_") -> Lake:
    return lake_in(S3Storage(bucket, database_prefix=database_prefix), SALES, SHOPS)


@pytest.fixture
def lake(aws: str) -> Lake:
    return s3_lake()


def lock() -> dict[str, Any] | None:
    """What the lock's object says; None where there is none."""
    s3 = boto3.client("s3")
    if not s3.list_objects_v2(Bucket=LAKE_BUCKET, Prefix="lake/lake.lock").get("Contents"):
        return None
    content: dict[str, Any] = json.load(
        s3.get_object(Bucket=LAKE_BUCKET, Key="lake/lake.lock")["Body"]
    )
    return content


# In the catalog


def test_athena_and_spark_find_an_iceberg_table(lake: Lake) -> None:
    publish(lake, SALES, [sale(1, 1)])
    table = boto3.client("glue").get_table(DatabaseName="retail_star", Name="sales")["Table"]
    assert table["TableType"] == "EXTERNAL_TABLE"
    assert table["Parameters"]["table_type"] == "ICEBERG"
    location = f"s3://{LAKE_BUCKET}/lake/star/sales"
    assert table["StorageDescriptor"]["Location"] == location
    assert table["Parameters"]["metadata_location"].startswith(f"{location}/metadata/")
    assert lake.published() == {"sales": "star"}
    assert all(file.uri.startswith(f"{location}/data/") for file in lake.files("sales"))


def test_tables_of_other_tools_beside_ours_are_none_of_the_lake(lake: Lake) -> None:
    publish(lake, SALES, [sale(1, 1)])
    glue = boto3.client("glue")
    glue.create_table(DatabaseName="retail_star", TableInput={"Name": "shops", "Parameters": {}})
    assert lake.published() == {"sales": "star"}
    with pytest.raises(ConfigurationError, match=r"no Iceberg table .* RETAIL_DATABASE_PREFIX"):
        lake.plan(SHOPS)


def test_two_lakes_do_not_share_databases(lake: Lake) -> None:
    publish(lake, SHOPS, SHOP)
    other = s3_lake(PIPES_BUCKET)
    with pytest.raises(ConfigurationError, match=r"two lakes need .* RETAIL_DATABASE_PREFIX"):
        other.plan(SHOPS)
    apart = s3_lake(PIPES_BUCKET, "staging_")
    publish(apart, SHOPS, [{"id": 2, "name": "b"}])
    assert ids(apart, "shops") == [2]
    assert ids(lake, "shops") == [1]


def test_discarding_a_run_leaves_what_others_wrote(lake: Lake) -> None:
    publish(lake, SHOPS, SHOP)
    location = lake.new_location(SHOPS)
    kept = write_files(SHOPS, f"{location}0", SHOP)
    write_files(SHOPS, location, SHOP)
    lake.discard([location])
    assert lake.storage.files(location) == []
    assert [file.uri for file in lake.storage.files(f"{location}0")] == [kept[0].uri]
    assert ids(lake, "shops") == [1]


def test_vacuum_deletes_more_than_s3_takes_at_once(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_storage, "_DELETED_AT_ONCE", 2)
    s3 = boto3.client("s3")
    for number in range(5):
        s3.put_object(Bucket=LAKE_BUCKET, Key=f"lake/star/shops/data/left/{number}", Body=b"1")
    assert lake.vacuum(AGES, timedelta()).files == 5
    assert lake.storage.files(lake.location(SHOPS)) == []


# The lock


@pytest.fixture
def short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that runs out while a test waits for it."""
    monkeypatch.setattr(lease, "LEASE_SECONDS", 2.0)
    monkeypatch.setattr(lease, "RENEWAL_SECONDS", 0.2)


@pytest.fixture
def unrenewed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Holders that do not renew in the background, as if they slept."""
    monkeypatch.setattr(lease, "RENEWAL_SECONDS", 3600.0)


def test_the_lock_says_who_has_it_and_is_gone_afterwards(lake: Lake) -> None:
    with lake.exclusively():
        held = lock()
        assert held is not None
        assert f"/{os.getpid()}/" in held["owner"]
        assert held["seconds"] == 60
    assert lock() is None


def test_the_lock_is_released_by_a_build_that_fails(lake: Lake) -> None:
    with pytest.raises(ZeroDivisionError), lake.exclusively():
        raise ZeroDivisionError
    assert lock() is None


@pytest.mark.usefixtures("short_lease")
def test_a_holder_keeps_the_lock_for_longer_than_a_lease(lake: Lake) -> None:
    taken = threading.Event()

    def wait() -> None:
        with s3_lake().exclusively():
            taken.set()

    with ThreadPoolExecutor(1) as pool:
        with lake.exclusively():
            waiting = pool.submit(wait)
            assert not taken.wait(5)
            publish(lake, SHOPS, SHOP)
        waiting.result(30)


def test_who_waits_says_so_and_gives_up_at_last(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for module in (lease, storage):
        monkeypatch.setattr(module, "LOCK_SECONDS", 1)
    with (
        lake.exclusively(),
        caplog.at_level(logging.WARNING),
        pytest.raises(LakeError, match=r"at work on the lake for 1 s; wait for it or stop it"),
        s3_lake().exclusively(),
    ):
        pass
    assert caplog.messages == ["another build is at work on the lake; waiting for it"]


@pytest.mark.usefixtures("unrenewed")
def test_who_slept_through_its_lease_must_not_publish(lake: Lake) -> None:
    before = publish(lake, SHOPS, SHOP)
    with lake.exclusively():
        make_older(LOCK, timedelta(seconds=62))
        with s3_lake().exclusively():
            theirs = lock()
            with pytest.raises(LakeError, match=r"another build has taken over .* build it again"):
                publish(lake, SHOPS, [{"id": 2, "name": "b"}])
            assert lake.history("shops") == [before]
            with pytest.raises(LakeError, match="another build has taken over"):
                lake.storage.require_held()
            assert lock() == theirs
    assert lock() is None


@pytest.mark.usefixtures("unrenewed")
def test_who_lost_its_lease_leaves_the_lock_of_the_next(lake: Lake) -> None:
    second = s3_lake().exclusively()
    with lake.exclusively():
        make_older(LOCK, timedelta(seconds=62))
        second.__enter__()
        theirs = lock()
    assert theirs is not None
    assert lock() == theirs
    second.__exit__(None, None, None)
    assert lock() is None


@pytest.mark.usefixtures("unrenewed")
def test_an_expired_lease_that_nobody_took_is_still_the_holders(lake: Lake) -> None:
    with lake.exclusively():
        make_older(LOCK, timedelta(hours=1))
        publish(lake, SHOPS, SHOP)
        assert ids(lake, "shops") == [1]


@pytest.mark.usefixtures("unrenewed")
def test_of_many_that_want_an_expired_lease_one_at_a_time_gets_it(lake: Lake) -> None:
    inside, most = 0, 0
    one_change = threading.Lock()

    def build(_: int) -> None:
        nonlocal inside, most
        with s3_lake().exclusively():
            with one_change:
                inside += 1
                most = max(most, inside)
            time.sleep(0.05)
            with one_change:
                inside -= 1

    with lake.exclusively():
        make_older(LOCK, timedelta(seconds=62))
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(build, range(6)))
    assert most == 1


def hold_for_ever(started: Any) -> None:
    """What a process does that is killed."""
    lease.LEASE_SECONDS, lease.RENEWAL_SECONDS = 2.0, 0.2
    with s3_lake().exclusively():
        started.set()
        time.sleep(600)


def test_the_lock_of_a_killed_build_frees_itself(lake: Lake) -> None:
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    build = context.Process(target=hold_for_ever, args=(started,))
    build.start()
    assert started.wait(60)
    assert build.pid
    os.kill(build.pid, signal.SIGKILL)
    build.join()
    assert lock() is not None
    with lake.exclusively():
        publish(lake, SHOPS, SHOP)
    assert ids(lake, "shops") == [1]


def test_a_write_whose_answer_was_lost_is_known_again(lake: Lake) -> None:
    """The client then writes anew, and is refused over what it wrote before."""
    assert isinstance(lake.storage, S3Storage)
    s3, lost = lake.storage._s3, threading.Event()

    def lose_answer(request: Any, **_: Any) -> None:
        if not lost.is_set():
            lost.set()
            s3._endpoint.http_session.send(request)
            request.reset_stream()

    s3.meta.events.register("before-send.s3.PutObject", lose_answer)
    with lake.exclusively():
        assert lost.is_set()
        publish(lake, SHOPS, SHOP)
    assert lock() is None


# Who is logged in


def test_a_role_that_a_profile_names_may_publish(
    aws: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """pyarrow, which reads and writes the files, would not assume it by itself."""
    iam = boto3.client("iam")
    trusted = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [trusted]})
    arn = iam.create_role(RoleName="publisher", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    may = {"Effect": "Allow", "Action": ["s3:*", "glue:*"], "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [may]})
    iam.put_role_policy(RoleName="publisher", PolicyName="publisher", PolicyDocument=policy)
    with as_user(monkeypatch, aws, ["sts:AssumeRole"]):
        key, secret = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        config = tmp_path / "config"
        config.write_text(
            f"[profile clerk]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
            f"[profile publisher]\nrole_arn = {arn}\nsource_profile = clerk\n"
        )
        monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
        monkeypatch.setenv("AWS_PROFILE", "publisher")
        lake = s3_lake()
        plan = lake.plan(SHOPS)
        file = f"{lake.new_location(SHOPS)}/part.parquet"
        client("s3").put_object(
            Bucket=LAKE_BUCKET,
            Key=file.removeprefix(f"s3://{LAKE_BUCKET}/"),
            Body=shop_file(tmp_path),
        )
        version = lake.publish(Publication(SHOPS, plan, (DataFile(file),), None, {}, {}))
    assert version.row_count == 1


def shop_file(folder: Path) -> bytes:
    """A Parquet file of one shop, which is made without AWS."""
    (written,) = write_files(SHOPS, f"file://{folder}/shop", SHOP)
    return path_of(written).read_bytes()


# What AWS refuses

USES: dict[str, Callable[[Lake], object]] = {
    "read": lambda lake: lake.version("shops"),
    "list": lambda lake: lake.published(),
    "build": lambda lake: lake.exclusively().__enter__(),
    "vacuum": lambda lake: lake.vacuum(AGES, AGES),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_a_missing_bucket_is_named_with_its_setting(
    aws: str, use: Callable[[Lake], object]
) -> None:
    with pytest.raises(ConfigurationError, match=r"no-such-bucket.*correct RETAIL_LAKE_BUCKET"):
        use(s3_lake("no-such-bucket"))


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_a_bucket_of_others_is_named_with_its_setting(
    aws: str, monkeypatch: pytest.MonkeyPatch, use: Callable[[Lake], object]
) -> None:
    with (
        as_user(monkeypatch, aws, ["glue:*"]),
        pytest.raises(ConfigurationError, match=f"{LAKE_BUCKET}.*RETAIL_LAKE_BUCKET.*AWS forbids"),
    ):
        use(s3_lake())


def test_a_bucket_in_another_region_is_named_with_its_region(
    aws: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    with pytest.raises(ConfigurationError, match=f"set AWS_DEFAULT_REGION={REGION}"):
        s3_lake().version("shops")


def test_no_region_is_said_to_be_none(aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(ConfigurationError, match="set AWS_DEFAULT_REGION"):
        s3_lake().version("shops")


def test_databases_that_may_not_be_created_are_named_with_their_setting(
    aws: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        as_user(monkeypatch, aws, ["s3:*", "glue:Get*"]),
        pytest.raises(ConfigurationError, match=r"retail_\* .RETAIL_DATABASE_PREFIX.*AWS forbids"),
    ):
        s3_lake().version("shops")


def test_a_reader_needs_no_right_to_create_or_write(
    lake: Lake, aws: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(lake, SHOPS, SHOP)
    with as_user(monkeypatch, aws, [*LISTS, "s3:GetObject", "glue:Get*"]):
        reader = s3_lake()
        assert reader.published() == {"shops": "star"}
        assert len(reader.files("shops")) == 1


def test_files_that_may_not_be_read_are_named_with_their_setting(
    lake: Lake, aws: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(lake, SHOPS, SHOP)
    with (
        as_user(monkeypatch, aws, [*LISTS, "glue:*"]),
        pytest.raises(ConfigurationError, match=r"reading shops.*RETAIL_LAKE_BUCKET.*AWS forbids"),
    ):
        s3_lake().version("shops")


@pytest.mark.parametrize(
    ("denied", "setting"),
    [("s3:PutObject", "RETAIL_LAKE_BUCKET"), ("glue:UpdateTable", "RETAIL_DATABASE_PREFIX")],
)
def test_a_commit_that_is_forbidden_leaves_the_last_version(
    lake: Lake, aws: str, monkeypatch: pytest.MonkeyPatch, denied: str, setting: str
) -> None:
    before = publish(lake, SHOPS, SHOP)
    plan = lake.plan(SHOPS)
    files = write_files(SHOPS, lake.new_location(SHOPS), SHOP, plan.field_ids)
    with (
        as_user(monkeypatch, aws, ["s3:*", "glue:*"], [denied]),
        pytest.raises(LakeError, match=f"(?s){setting}.*AWS forbids.*readers still see the last"),
    ):
        s3_lake().publish(Publication(SHOPS, plan, files, None, {}, {}))
    assert lake.history("shops") == [before]


def test_files_that_were_deleted_by_hand_are_missed_in_words(lake: Lake) -> None:
    publish(lake, SHOPS, SHOP)
    lake.storage.discard(lake.location(SHOPS))
    with pytest.raises(LakeError, match=r"its files were deleted .* drop the table in Glue"):
        lake.version("shops")
