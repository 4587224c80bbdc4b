"""Seals secrets that have to be read again: those of hooks. The database holds the ciphers."""

from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from provisioner.errors import ProvisionerError, SettingInvalid


class SealBroken(ProvisionerError):
    """A stored secret was sealed with a key that SECRETS_KEY no longer holds."""

    code = "seal-broken"


class Sealer:
    """Seals with the first key, and opens what any of the keys has sealed (Fernet).

    To change the key put a new one in front; the former ones stay for what they have sealed.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        """Take the keys of the setting SECRETS_KEY.

        Raises:
            SettingInvalid: there is none.
        """
        if not keys:
            raise SettingInvalid(
                "SECRETS_KEY",
                "must hold a Fernet key, which seals the secrets of hooks; make one with "
                "`head -c 32 /dev/urandom | base64 | tr '+/' '-_'`",
            )
        self._fernet = MultiFernet([Fernet(key) for key in keys])

    def seal(self, secret: str) -> str:
        """Return the secret's cipher."""
        return self._fernet.encrypt(secret.encode()).decode("ascii")

    def open(self, sealed: str) -> str:
        """Return the secret of a cipher.

        Raises:
            SealBroken: none of the keys has sealed it.
        """
        try:
            return self._fernet.decrypt(sealed).decode()
        except InvalidToken:
            raise SealBroken() from None
