"""Every gRPC status of Cloud KMS: who must act, what the message tells, and what HTTP is answered."""

import grpc
import pytest

from csr_signer.errors import ConfigurationError, QuotaError, SignerError, UnavailableError
from csr_signer.kms.status import ATTEMPTS, LONGEST_RETRY_AFTER, ROLES, UNLIMITED, Status, fault
from tests.unit.function.builders import KEY_VERSION

CODES = [code.name for code in grpc.StatusCode if code is not grpc.StatusCode.OK]
KINDS: dict[str, tuple[type[SignerError], int]] = {
    "CANCELLED": (UnavailableError, 503),
    "UNKNOWN": (UnavailableError, 503),
    "INVALID_ARGUMENT": (ConfigurationError, 503),
    "DEADLINE_EXCEEDED": (UnavailableError, 503),
    "NOT_FOUND": (ConfigurationError, 503),
    "ALREADY_EXISTS": (ConfigurationError, 503),
    "PERMISSION_DENIED": (ConfigurationError, 503),
    "RESOURCE_EXHAUSTED": (QuotaError, 429),
    "FAILED_PRECONDITION": (ConfigurationError, 503),
    "ABORTED": (UnavailableError, 503),
    "OUT_OF_RANGE": (ConfigurationError, 503),
    "UNIMPLEMENTED": (ConfigurationError, 503),
    "INTERNAL": (UnavailableError, 503),
    "UNAVAILABLE": (UnavailableError, 503),
    "DATA_LOSS": (UnavailableError, 503),
    "UNAUTHENTICATED": (ConfigurationError, 503),
}


def the_fault(code: str, message: str = "", *reasons: str, retry_delay: float | None = None) -> SignerError:
    """What a status of the test's key version is."""
    status = Status(code=code, message=message, reasons=reasons, retry_delay=retry_delay)
    return fault(status, key_version=KEY_VERSION)


def test_the_table_has_every_code() -> None:
    """A code that gRPC adds is a decision."""
    assert set(KINDS) == set(CODES)
    assert set(ATTEMPTS) <= set(CODES)


@pytest.mark.parametrize("code", CODES)
def test_every_code_is_a_fault_with_an_answer(code: str) -> None:
    """Each names the key version and KMS's words; time, quota and operator are told apart; all can be sent again."""
    kind, http = KINDS[code]
    error = the_fault(code, "as \x1b[31m you wished")
    assert (type(error), error.status) == (kind, http)
    assert str(error).startswith(f"key version {KEY_VERSION}: ")
    assert str(error).endswith(rf'{code} "as \x1b[31m you wished"')
    assert error.retry_after == kind.retry_after


def test_only_what_may_pass_is_asked_again() -> None:
    """Refusals are final; a server's own mistake is given a few tries, an outage all that the time allows."""
    assert {code for code in CODES if KINDS[code][0] is UnavailableError} == set(ATTEMPTS)
    assert {code for code, most in ATTEMPTS.items() if most == UNLIMITED} == {
        "UNAVAILABLE",
        "DEADLINE_EXCEEDED",
        "CANCELLED",
    }
    limited = {code: most for code, most in ATTEMPTS.items() if most != UNLIMITED}
    assert limited == {"INTERNAL": 3, "UNKNOWN": 3, "DATA_LOSS": 3, "ABORTED": 2}


STATES = {
    "DISABLED": "enable it (gcloud kms keys versions enable), or configure another key version",
    "DESTROY_SCHEDULED": "restore it (gcloud kms keys versions restore, then enable) before its date",
    "DESTROYED": "it cannot be restored: configure another key version",
    "PENDING_IMPORT": "its import is not finished",
    "IMPORT_FAILED": "its import failed",
    "GENERATION_FAILED": "KMS could not generate its key",
    "PENDING_EXTERNAL_DESTRUCTION": "it is being destroyed",
    "EXTERNAL_DESTRUCTION_FAILED": "do not use it any more",
}


@pytest.mark.parametrize("state", STATES)
def test_each_state_of_a_key_version_has_its_remedy(state: str) -> None:
    """Read from the text, or, where Google words it otherwise, from the details; the two give the same."""
    text = f"{KEY_VERSION} is not enabled, current state is: {state}."
    by_text = the_fault("FAILED_PRECONDITION", text)
    by_details = the_fault("FAILED_PRECONDITION", "no", "", f"KEY_{state}")
    for error in (by_text, by_details):
        assert type(error) is ConfigurationError
        assert f": its state is {state}: {STATES[state]}" in str(error)
    assert str(by_text).count(KEY_VERSION) == 1  # the name stands at the front, so that the end is not cut off


@pytest.mark.parametrize("said", [("current state is: PENDING_GENERATION.",), ("no", "KEY_PENDING_GENERATION")])
def test_a_key_that_is_being_made_is_waited_for(said: tuple[str, ...]) -> None:
    """Time acts, not the operator: a new key version is there within seconds."""
    error = the_fault("FAILED_PRECONDITION", *said)
    assert type(error) is UnavailableError
    assert "KMS is still generating its key" in str(error)


def test_a_precondition_that_is_not_known_says_what_is_certain() -> None:
    """Another text, another language, another purpose: what must hold, and KMS's own words."""
    for text in ("nein", "", "current state is: SLEEPING"):
        error = the_fault("FAILED_PRECONDITION", text)
        assert type(error) is ConfigurationError
        assert "it must be ENABLED, and its key's purpose ASYMMETRIC_SIGN" in str(error)


def test_a_key_name_is_not_read_as_a_state() -> None:
    """Keys may have any name, including the name of a state."""
    text = "projects/p/locations/l/keyRings/r/cryptoKeys/KEY_DESTROYED/cryptoKeyVersions/1 is wrong"
    assert "its state is" not in str(the_fault("FAILED_PRECONDITION", text))


@pytest.mark.parametrize("code", ["PERMISSION_DENIED", "ALREADY_EXISTS"])
def test_only_a_failed_precondition_names_a_state(code: str) -> None:
    """A state's name in another error's text has no effect."""
    assert "its state is" not in str(the_fault(code, "current state is: DISABLED"))


@pytest.mark.parametrize("permission", ROLES)
def test_a_permission_that_is_missing_is_granted_by_one_role(permission: str) -> None:
    """The least role that has it, to be granted on the key."""
    text = f"Permission '{permission}' denied on resource '{KEY_VERSION}' (or it may not exist)."
    message = str(the_fault("PERMISSION_DENIED", text))
    assert f"or there is no such key version: grant {ROLES[permission]} on the key" in message
    assert message.count("roles/") == 1


def test_a_permission_that_is_not_named_is_one_of_three() -> None:
    """Then all that signing needs are named."""
    message = str(the_fault("PERMISSION_DENIED", "The caller does not have permission"))
    assert all(role in message for role in ROLES.values())


@pytest.mark.parametrize("code", ["PERMISSION_DENIED", "FAILED_PRECONDITION"])
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Google Cloud KMS API has not been used in this project before, or it is disabled.", ""),
        ("Cloud Key Management Service (KMS) API has not been used in project 123 before or it is disabled.", ""),
        ("no", "SERVICE_DISABLED"),
    ],
)
def test_an_api_that_is_not_enabled_is_named(code: str, text: str, reason: str) -> None:
    """No role would help."""
    message = str(the_fault(code, text, reason))
    assert "the API cloudkms.googleapis.com is not enabled in the calling project: enable it" in message
    assert "roles/" not in message


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Request is prohibited by organization's policy. vpcServiceControlsUniqueIdentifier: x", ""),
        ("no", "SECURITY_POLICY_VIOLATED"),
    ],
)
def test_a_perimeter_is_named(text: str, reason: str) -> None:
    """No role would help here either."""
    message = str(the_fault("PERMISSION_DENIED", text, reason))
    assert "VPC Service Controls block the function" in message
    assert "roles/" not in message


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("NOT_FOUND", "KMS has no such key version: compare issuer.key_version"),
        ("INVALID_ARGUMENT", "KMS does not accept the request"),
        ("UNAUTHENTICATED", "KMS does not know the caller"),
        ("UNIMPLEMENTED", "the server is not Cloud KMS: compare kms.endpoint"),
        ("ALREADY_EXISTS", "KMS gave an unexpected answer"),
        ("OUT_OF_RANGE", "KMS gave an unexpected answer"),
        ("RESOURCE_EXHAUSTED", "the quota of KMS is exhausted"),
        ("UNAVAILABLE", "KMS does not answer"),
    ],
)
def test_the_other_codes_have_a_remedy_of_their_own(code: str, remedy: str) -> None:
    """The operator reads what to compare."""
    assert remedy in str(the_fault(code))


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [(None, None), (0.0, 1), (0.2, 1), (1.0, 1), (7.3, 8), (60.0, 60), (61.0, LONGEST_RETRY_AFTER), (1e9, 60)],
)
@pytest.mark.parametrize("code", ["RESOURCE_EXHAUSTED", "UNAVAILABLE"])
def test_the_pause_that_kms_asks_for_is_handed_on(code: str, delay: float | None, seconds: int | None) -> None:
    """Whole seconds, at least one, at most a minute: a longer one would outlive every requester."""
    kind = KINDS[code][0]
    assert the_fault(code, retry_delay=delay).retry_after == (kind.retry_after if seconds is None else seconds)


@pytest.mark.parametrize(
    ("code", "text", "complains"),
    [
        ("INVALID_ARGUMENT", "The checksum in field digest_crc32c did not match the data in field digest.", True),
        ("INVALID_ARGUMENT", "Checksum mismatch", True),
        ("INVALID_ARGUMENT", "digest has 31 octets", False),
        ("FAILED_PRECONDITION", "checksum", False),
        ("NOT_FOUND", "checksum", False),
    ],
)
def test_a_checksum_error_is_retried_and_other_refusals_are_not(code: str, text: str, *, complains: bool) -> None:
    """A corrupted request is worth a retry; a request that KMS does not accept is not."""
    assert Status(code=code, message=text).refuses_checksum == complains


def test_an_answer_that_is_too_long_is_no_quota() -> None:
    """There is one code for both; slowing everybody down would not make it shorter."""
    text = "CLIENT: Received message larger than max (5000123 vs. 4194304)"
    assert Status(code="RESOURCE_EXHAUSTED", message=text).refuses_length
    assert not Status(code="RESOURCE_EXHAUSTED", message="Quota exceeded for quota metric").refuses_length
    assert not Status(code="INTERNAL", message=text).refuses_length
    assert not Status(code="UNAVAILABLE", message=text).refuses_length


PLUGIN = "Getting metadata from plugin failed with error: "


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (PLUGIN + "Reauthentication is needed. Please run `gcloud auth login`", ConfigurationError),
        (PLUGIN + "('invalid_grant: Token has been revoked', {})", ConfigurationError),
        (PLUGIN + "Failed to retrieve http://metadata/x\nStatus: 404 Response:\n", ConfigurationError),
        (PLUGIN + "Your default credentials were not found", ConfigurationError),
        (PLUGIN + "Failed to retrieve http://metadata/x Response status: 503", UnavailableError),
        ("invalid_grant", UnavailableError),
    ],
)
def test_credentials_that_will_not_come_back_are_the_operators(text: str, kind: type[SignerError]) -> None:
    """The library says UNAVAILABLE of them; only where it speaks of credentials, and of a fault that lasts."""
    error = the_fault("UNAVAILABLE", text)
    assert type(error) is kind
    assert ("no credentials" in str(error)) == (kind is ConfigurationError)


def test_a_long_text_is_bounded() -> None:
    """KMS's words are another party's."""
    assert len(str(the_fault("NOT_FOUND", "x" * 100_000))) < 600
