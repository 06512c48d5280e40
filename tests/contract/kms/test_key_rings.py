"""What Cloud KMS does with key rings."""

import pytest
from google.api_core import exceptions
from google.cloud.kms_v1 import KeyManagementServiceClient, KeyRing

from tests.contract.kms.keys import random_id


@pytest.mark.usefixtures("disposable_rings")
def test_key_ring_is_created_and_shown(client: KeyManagementServiceClient, location: str) -> None:
    """A created key ring has its full name and a creation time, and can be read back and found in the list."""
    name = random_id()
    created = client.create_key_ring(parent=location, key_ring_id=name, key_ring=KeyRing())
    assert created.name == f"{location}/keyRings/{name}"
    assert created.create_time is not None
    assert client.get_key_ring(name=created.name) == created
    assert created in list(client.list_key_rings(parent=location))


@pytest.mark.usefixtures("disposable_rings")
def test_key_ring_of_the_same_name(client: KeyManagementServiceClient, location: str) -> None:
    """A key ring's name can be used once."""
    name = random_id()
    client.create_key_ring(parent=location, key_ring_id=name, key_ring=KeyRing())
    with pytest.raises(exceptions.AlreadyExists):
        client.create_key_ring(parent=location, key_ring_id=name, key_ring=KeyRing())


@pytest.mark.parametrize("name", ["", "a b", "&bar", "a/b", "ä", "x" * 64])
def test_malformed_key_ring_id(client: KeyManagementServiceClient, location: str, name: str) -> None:
    """An id is 1 to 63 ASCII letters, digits, hyphens and underscores."""
    with pytest.raises(exceptions.InvalidArgument):
        client.create_key_ring(parent=location, key_ring_id=name, key_ring=KeyRing())


def test_malformed_names(client: KeyManagementServiceClient, location: str) -> None:
    """A name of another form is an invalid argument, whether it would exist or not."""
    with pytest.raises(exceptions.InvalidArgument):
        client.create_key_ring(parent="locations/foo", key_ring_id="bar", key_ring=KeyRing())
    with pytest.raises(exceptions.InvalidArgument):
        client.get_key_ring(name="malformed name")
    with pytest.raises(exceptions.InvalidArgument):
        client.list_key_rings(parent=f"{location}/keyRings/foo")


def test_absent_key_ring(client: KeyManagementServiceClient, location: str) -> None:
    """A key ring that was never made is not found."""
    with pytest.raises(exceptions.NotFound):
        client.get_key_ring(name=f"{location}/keyRings/{random_id()}")
