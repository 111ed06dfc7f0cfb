"""A MariaDB that insists on TLS: what is encrypted, what is trusted, what is refused."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from retail_platform.errors import ConfigurationError, SourceError
from retail_platform.sources.database import open_source
from retail_platform.sources.sample.generate import SampleSize, generate
from retail_platform.sources.sample.load import load
from retail_platform_tests.servers import MariaDB, mariadb_server, mariadbd_path
from retail_platform_tests.sources.tables import read

pytestmark = pytest.mark.skipif(
    mariadbd_path() is None,
    reason="mariadbd is not installed; install the system's mariadb-server",
)

ONE = "SELECT 1 AS v"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 that is its own authority; its key lies beside it."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    path = folder / "certificate.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture(scope="module")
def strict(certificate: Path) -> Iterator[MariaDB]:
    """A server that takes no connection over the network without TLS."""
    with mariadb_server(
        f"--ssl-cert={certificate}",
        f"--ssl-key={certificate.with_name('key.pem')}",
        "--require-secure-transport=ON",
    ) as server:
        server.create_database("shop")
        yield server


@pytest.fixture(
    params=["", "?ssl-mode=required", "?ssl-mode=verify_ca", "?ssl-mode=verify_identity"]
)
def url(request: pytest.FixtureRequest, strict: MariaDB, certificate: Path) -> str:
    authority = f"&ssl-ca={certificate}" if "verify" in request.param else ""
    return f"{strict.url('shop')}{request.param}{authority}"


def test_rows_and_questions_are_encrypted(url: str) -> None:
    with open_source(url) as source:
        assert read(source, ONE) == [{"v": 1}]


def test_the_sample_is_written_encrypted(url: str) -> None:
    load(url, generate(SampleSize()), lambda table, rows: None, replace=True)


@pytest.mark.parametrize("mode", ["verify_ca", "verify_identity"])
def test_an_unknown_authority_is_not_believed(strict: MariaDB, mode: str) -> None:
    with pytest.raises(SourceError, match=r"certificate that is not trusted.*ssl-ca"):
        read(open_source(f"{strict.url('shop')}?ssl-mode={mode}"), ONE)


def test_a_certificate_of_another_host_is_not_believed(strict: MariaDB, certificate: Path) -> None:
    url = strict.url("shop").replace("127.0.0.1", "localhost")
    trusting = f"{url}?ssl-mode=verify_ca&ssl-ca={certificate}"
    with open_source(trusting) as source:
        assert read(source, ONE) == [{"v": 1}]
    with pytest.raises(SourceError, match=r"certificate that is not trusted.*localhost"):
        read(open_source(trusting.replace("verify_ca", "verify_identity")), ONE)


def test_a_server_that_insists_says_so_to_who_does_not_encrypt(strict: MariaDB) -> None:
    with pytest.raises(SourceError, match="or TLS, which ssl-mode=disabled forbids"):
        read(open_source(f"{strict.url('shop')}?ssl-mode=disabled"), ONE)


def test_a_server_without_tls_is_refused_where_tls_is_required() -> None:
    with mariadb_server("--skip-ssl") as plain:
        url = plain.create_database("shop")
        with pytest.raises(SourceError, match="SSL is required but the server doesn't support it"):
            read(open_source(f"{url}?ssl-mode=required"), ONE)


def test_an_authority_that_is_no_file_is_named(mysql_url: str) -> None:
    url = f"{mysql_url}?ssl-mode=verify_ca&ssl-ca=/no/such.pem"
    with pytest.raises(ConfigurationError, match=r"ssl-ca=/no/such\.pem cannot be read"):
        read(open_source(url), ONE)
