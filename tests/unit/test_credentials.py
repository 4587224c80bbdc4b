import hashlib
from math import log2

from provisioner.credentials import ALPHABET, new_secret, new_token, token_digest


def test_a_password_has_128_bits_at_least() -> None:
    password = new_secret("390612345678", "example.test").password
    assert set(password) <= set(ALPHABET)
    assert len(password) * log2(len(ALPHABET)) >= 128


def test_the_alphabet_has_no_letters_that_look_alike() -> None:
    assert not set("0O1lIio") & set(ALPHABET)
    assert len(set(ALPHABET)) == len(ALPHABET)


def test_ha1_is_the_hash_of_username_realm_and_password() -> None:
    secret = new_secret("390612345678", "example.test")
    line = f"390612345678:example.test:{secret.password}".encode()
    assert secret.ha1 == hashlib.md5(line, usedforsecurity=False).hexdigest()
    assert secret.ha1_sha256 == hashlib.sha256(line).hexdigest()


def test_two_passwords_differ() -> None:
    assert new_secret("39", "r").password != new_secret("39", "r").password


def test_a_secret_does_not_show_when_it_is_printed() -> None:
    secret = new_secret("39", "r")
    assert secret.password not in repr(secret)
    assert secret.ha1 not in repr(secret)


def test_only_a_tokens_hash_is_stored() -> None:
    token = new_token()
    assert token_digest(token) == hashlib.sha256(token.encode()).digest()
    assert len(token) > 40
