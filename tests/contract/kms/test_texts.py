"""Texts and details of refusals, as far as the function reads them: `csr_signer.kms.status` must understand them.

Google does not promise them; seen were the state's text and type (terraform-provider-google#5895, vault-on-gke#56).
"""

import hashlib

import google_crc32c
import pytest
from google.api_core import exceptions
from google.cloud.kms_v1 import KeyManagementServiceClient
from google.rpc.error_details_pb2 import PreconditionFailure

from csr_signer.kms.status import Status, fault
from tests.contract.kms.keys import Keys

DIGEST = hashlib.sha256(b"a message that is signed").digest()


def read(error: exceptions.GoogleAPICallError) -> Status:
    """A refusal as the function reads it."""
    failures = [each for each in error.details if isinstance(each, PreconditionFailure)]
    reasons = [violation.type for each in failures for violation in each.violations]
    code = error.grpc_status_code
    assert code is not None
    return Status(code=code.name, message=error.message, reasons=tuple(reasons))


@pytest.mark.parametrize("method", ["sign", "public key"])
@pytest.mark.parametrize("state", ["DISABLED", "DESTROY_SCHEDULED"])
def test_a_disabled_version_is_refused_with_its_state(
    client: KeyManagementServiceClient, keys: Keys, state: str, method: str
) -> None:
    """Text and details of the refusal both name the state."""
    version = keys.create_signing_version("EC_SIGN_P256_SHA256").name
    if state == "DISABLED":
        keys.switch(client.get_crypto_key_version(name=version), state)
    else:
        client.destroy_crypto_key_version(name=version)
    calls = {
        "sign": lambda: client.asymmetric_sign(request={"name": version, "digest": {"sha256": DIGEST}}),
        "public key": lambda: client.get_public_key(name=version),
    }
    error = keys.refuses(calls[method])
    assert f"current state is: {state}" in error.message
    (details,) = [each for each in error.details if isinstance(each, PreconditionFailure)]
    assert [(each.type, each.subject) for each in details.violations] == [(f"KEY_{state}", version)]
    assert f"its state is {state}: " in str(fault(read(error), key_version=version))


def test_a_wrong_checksum_differs_from_other_refusals(client: KeyManagementServiceClient, keys: Keys) -> None:
    """A wrong checksum has another error than a digest that the key cannot sign."""
    version = keys.create_signing_version("EC_SIGN_P256_SHA256").name
    wrong = {"digest": {"sha256": DIGEST}, "digest_crc32c": google_crc32c.value(DIGEST) ^ 1}
    other = {"digest": {"sha384": hashlib.sha384(b"x").digest()}}
    with pytest.raises(exceptions.InvalidArgument) as damaged:
        client.asymmetric_sign(request={"name": version, **wrong})
    with pytest.raises(exceptions.InvalidArgument) as unfit:
        client.asymmetric_sign(request={"name": version, **other})
    assert read(damaged.value).refuses_checksum
    assert not read(unfit.value).refuses_checksum
