"""What only the doubles of Google's services do: logs, faults, TLS, their own process."""

import json
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

from sandbox.google import GoogleServer, Request, Response, jwt
from sandbox.google.web import WebServer
from sandbox.process import Part
from tests.patience import PATIENCE


@pytest.fixture
def http() -> Iterator[urllib3.PoolManager]:
    """An HTTP client without retries."""
    with urllib3.PoolManager(retries=False) as pool:
        yield pool


def test_log_has_every_exchange(http: urllib3.PoolManager) -> None:
    """The log holds requests and statuses in order, before their answers are seen."""
    with GoogleServer() as server:
        http.request("GET", f"{server.api.url}/oauth2/v3/certs")
        http.request("POST", f"{server.api.url}/v1/token", body=b"x")
        exchanges = server.api.log.exchanges()
        assert [(exchange.request.path, exchange.status) for exchange in exchanges] == [
            ("/oauth2/v3/certs", 200),
            ("/v1/token", 400),
        ]
        assert exchanges[1].request.body == b"x"
        assert len(server.api.log.exchanges("/v1/token")) == 1


def test_next_answers_can_be_spoilt(http: urllib3.PoolManager) -> None:
    """The next requests get a given answer, the one after that the real one."""
    with GoogleServer() as server:
        server.api.fail_next(Response(status=503, headers=(("Retry-After", "1"),)), times=2)
        statuses = [http.request("GET", f"{server.api.url}/oauth2/v3/certs").status for _ in range(3)]
    assert statuses == [503, 503, 200]


@pytest.mark.parametrize(("method", "status"), [("PUT", 404), ("BREW", 501)])
def test_unknown_methods(http: urllib3.PoolManager, method: str, status: int) -> None:
    """What no service has is refused."""
    with GoogleServer() as server:
        assert http.request(method, f"{server.api.url}/v1/projects/-/serviceAccounts/a:b").status == status


@pytest.mark.parametrize("length", ["-1", "x", str(64 << 20)])
def test_unreadable_length(http: urllib3.PoolManager, length: str) -> None:
    """A request whose length cannot be or is too large is refused, and its connection closed."""
    with GoogleServer() as server:
        answer = http.request("POST", f"{server.api.url}/v1/token", headers={"Content-Length": length})
    assert answer.status == 400
    assert answer.headers["Connection"] == "close"


def test_stop_ends_what_is_under_way(http: urllib3.PoolManager) -> None:
    """Stopping ends a request that waits for the service, and connections that idle."""
    arrived, over = threading.Event(), threading.Event()

    def answer(_: Request) -> Response:
        arrived.set()
        over.wait(PATIENCE)
        return Response(status=200)

    with WebServer(answer) as service, ThreadPoolExecutor(1) as threads:
        server = GoogleServer(run_target=service.url).start()
        http.request("GET", f"{server.api.url}/oauth2/v3/certs")
        account = next(iter(server.configuration.accounts.values()))
        email = next(iter(server.configuration.invokers))
        token = server.tokens.id_token(account, server.run, {"email": email, "email_verified": True})
        waiting = threads.submit(http.request, "GET", server.run, headers={"Authorization": f"Bearer {token}"})
        arrived.wait(PATIENCE)
        server.stop()
        over.set()
        error = waiting.exception(PATIENCE)
        assert isinstance(error, urllib3.exceptions.HTTPError) or waiting.result().status == 503


def test_target_must_be_plain_http() -> None:
    """The front door forwards plain HTTP only; nothing stays open after that error."""
    with pytest.raises(ValueError, match=r"the target must be an http URL, got 'https://example\.com'"):
        GoogleServer(run_target="https://example.com")


def self_signed(directory: Path) -> tuple[Path, Path]:
    """Write a certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "googleapis")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (directory / "tls.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (directory / "tls.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return directory / "tls.crt", directory / "tls.key"


def test_process_with_tls(tmp_path: Path) -> None:
    """The process says where everything is, serves TLS where it has a certificate, and stops on SIGTERM."""
    certificate, key = self_signed(tmp_path)
    options = ["--run-target", "http://127.0.0.1:9", "--tls-certificate", str(certificate), "--tls-key", str(key)]
    with Part.start("sandbox.google", *options, log=tmp_path / "log") as part:
        assert part.ready["part"] == "google"
        assert set(part.ready) >= {"metadata", "sts", "iam_credentials", "run"}
        with urllib3.PoolManager(retries=False, ca_certs=str(certificate)) as pool:
            assert pool.request("GET", f"{part.ready['sts']}/oauth2/v3/certs").status == 200
            assert pool.request("GET", part.ready["run"]).status == 403
            assert pool.request("GET", f"http://{part.ready['metadata']}/").status == 200
            assert part.stop(grace=5.0) == 0


def test_silent_client_does_not_stop_others(tmp_path: Path) -> None:
    """A client that never begins its TLS handshake holds up nobody."""
    certificate, key = self_signed(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    with GoogleServer(tls=context) as server:
        host, port = server.api.address.split(":")
        silent = urllib3.connection.HTTPConnection(host, int(port))
        silent.connect()
        with urllib3.PoolManager(retries=False, ca_certs=str(certificate)) as pool:
            assert pool.request("GET", f"{server.sts}/oauth2/v3/certs").status == 200
        silent.close()


def test_process_for_gke(tmp_path: Path) -> None:
    """With --gke the ready line names the audiences of a GKE cluster; keys can be given as a file."""
    jwks = tmp_path / "jwks.json"
    key = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
    coordinates = {"x": jwt.encode_part(key.x.to_bytes(32)), "y": jwt.encode_part(key.y.to_bytes(32))}
    jwks.write_text(json.dumps({"keys": [{"kty": "EC", "crv": "P-256", "kid": "a", **coordinates}]}))
    with Part.start("sandbox.google", "--gke", "--jwks", str(jwks), log=tmp_path / "log") as part:
        assert part.ready["subject_audience"] == "example-project.svc.id.goog"
        assert part.ready["sts_audience"].startswith("identitynamespace:example-project.svc.id.goog:https://")
        assert part.ready["run"] == ""


def test_elliptic_curve_signatures() -> None:
    """A token that an API server signed with ECDSA verifies with its key, and with no other one."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    signed = ".".join(jwt.encode_part(json.dumps(part).encode()) for part in ({"alg": "ES256"}, {"sub": "a"}))
    der = keys[0].sign(signed.encode(), ec.ECDSA(hashes.SHA256()))
    r, s = decode_dss_signature(der)
    token = jwt.parse(f"{signed}.{jwt.encode_part(r.to_bytes(32) + s.to_bytes(32))}")
    jwt.verify(token, {"": keys[0].public_key()})
    with pytest.raises(jwt.JwtError, match="no known key"):
        jwt.verify(token, {"": keys[1].public_key()})
