"""Typed settings from a mapping of strings; nothing else in the service reads the environment."""

import base64
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network

from provisioner.errors import SettingInvalid

# Of Italy: emergency, police, fire, ambulance, sea, forest, children, violence.
EMERGENCY_NUMBERS = "112,113,114,115,116000,116111,117,118,1515,1522,1530"
TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{32,}")
REALM = re.compile(r"(?=.{1,64}$)[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


class LogFormat(StrEnum):
    """How a line of the logs is written."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True)
class Settings:
    """What one process needs to know about its surroundings. Secrets do not show in `repr`."""

    database_url: str = field(repr=False)
    database_admin_url: str = field(repr=False)
    provisioner_db_password: str = field(repr=False)
    kamailio_db_password: str = field(repr=False)
    rpc_token: str = field(repr=False)
    secrets_keys: tuple[str, ...] = field(repr=False)  # Fernet keys; the first one encrypts
    webhook_networks: tuple[IPv4Network | IPv6Network, ...]  # private ones that endpoints may be in
    nodes: Mapping[str, str]
    metrics_token: str = field(repr=False)  # who shows it may read /metrics; "": this machine alone
    worker_http_port: int  # where a worker answers /livez and /metrics; 0: nowhere
    replicas: Mapping[str, str] = field(repr=False)  # of the database, by the node that reads there
    sip_realm: str
    sip_address: str
    sip_port: int
    sip_transports: tuple[str, ...]
    http_address: str
    http_port: int
    sync_interval: float  # seconds between two full comparisons
    delete_share: float  # share of rows (0 to 1) that a comparison may delete at once
    delete_floor: int  # rows that it may delete whatever their share
    country_code: str  # digits of the country whose emergency numbers are meant
    emergency_numbers: frozenset[str]  # as they are dialled
    rate_limit: int  # requests a minute of one token, in each process of the API; 0: no limit
    trusted_proxies: int  # how many proxies add the client's address to X-Forwarded-For
    log_format: LogFormat
    traces_endpoint: str  # where OpenTelemetry's collector takes spans; empty: nowhere


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings.

    Raises:
        SettingInvalid: a value is not of its kind; names the variable and the rule.
    """
    read = _Reader(os.environ if environ is None else environ)
    return Settings(
        database_url=read.text("DATABASE_URL", ""),
        database_admin_url=read.text("DATABASE_ADMIN_URL", ""),
        provisioner_db_password=read.text("PROVISIONER_DB_PASSWORD", ""),
        kamailio_db_password=read.text("KAMAILIO_DB_PASSWORD", ""),
        rpc_token=read.text("KAMAILIO_RPC_TOKEN", ""),
        secrets_keys=read.fernet_keys("SECRETS_KEY"),
        webhook_networks=read.networks("WEBHOOK_ALLOWED_NETWORKS"),
        nodes=read.pairs("KAMAILIO_NODES", "http://", "host:port/rpc"),
        replicas=read.pairs("KAMAILIO_REPLICAS", "postgresql://", "user:password@host/database"),
        metrics_token=read.token("METRICS_TOKEN"),
        worker_http_port=read.port("WORKER_HTTP_PORT", 0, lowest=0),
        sip_realm=read.realm("SIP_REALM", "talkytime.test"),
        sip_address=read.text("SIP_ADDRESS", "127.0.0.1"),
        sip_port=read.port("SIP_PORT", 5060),
        sip_transports=tuple(read.text("SIP_TRANSPORTS", "udp,tcp").split(",")),
        http_address=read.text("HTTP_ADDRESS", "127.0.0.1"),
        http_port=read.port("HTTP_PORT", 8080),
        sync_interval=read.number("SYNC_INTERVAL", 60.0, above=0.0),
        delete_share=read.number("SYNC_DELETE_SHARE", 0.2, above=0.0),
        delete_floor=int(read.number("SYNC_DELETE_FLOOR", 50, above=-1)),
        country_code=read.digits("COUNTRY_CODE", "39"),
        emergency_numbers=frozenset(
            map(str.strip, read.text("EMERGENCY_NUMBERS", EMERGENCY_NUMBERS).split(","))
        ),
        rate_limit=int(read.number("RATE_LIMIT", 30_000, above=-1)),
        trusted_proxies=int(read.number("TRUSTED_PROXIES", 0, above=-1)),
        log_format=LogFormat(read.choice("LOG_FORMAT", *LogFormat)),
        traces_endpoint=read.url("OTEL_EXPORTER_OTLP_ENDPOINT"),
    )


class _Reader:
    """Turns strings into values, and their faults into one clear sentence each."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def text(self, name: str, default: str) -> str:
        return self._environ.get(name, default)

    def number(self, name: str, default: float, *, above: float) -> float:
        value = self.text(name, str(default))
        try:
            number = float(value)
        except ValueError:
            raise SettingInvalid(name, "must be a number") from None
        if not number > above:
            raise SettingInvalid(name, f"must be more than {above:g}")
        return number

    def port(self, name: str, default: int, *, lowest: int = 1) -> int:
        value = self.text(name, str(default))
        if not value.isascii() or not value.isdigit() or not lowest <= int(value) <= 65535:
            raise SettingInvalid(name, f"must be a port number from {lowest} to 65535")
        return int(value)

    def choice(self, name: str, *choices: str) -> str:
        """Read one of some words; the first one is the default."""
        value = self.text(name, choices[0])
        if value not in choices:
            raise SettingInvalid(name, f"must be {' or '.join(choices)}")
        return value

    def token(self, name: str) -> str:
        """Read a token that can be sent in a header; one that can be guessed is refused."""
        value = self.text(name, "")
        if value and not TOKEN.fullmatch(value):
            raise SettingInvalid(name, "must be at least 32 letters, digits or any of -._~+/=")
        return value

    def url(self, name: str) -> str:
        """Read the address of an HTTP server; empty where there is none."""
        value = self.text(name, "")
        if value and not value.startswith(("http://", "https://")):
            raise SettingInvalid(name, "must begin with http:// or https://")
        return value

    def digits(self, name: str, default: str) -> str:
        value = self.text(name, default)
        if not (value.isascii() and value.isdigit()):
            raise SettingInvalid(name, "must be digits")
        return value

    def realm(self, name: str, default: str) -> str:
        value = self.text(name, default)
        if not REALM.fullmatch(value):
            raise SettingInvalid(name, "must be a domain name of at most 64 characters")
        return value

    def items(self, name: str) -> list[str]:
        """Split a value at its commas."""
        return [item.strip() for item in self.text(name, "").split(",") if item.strip()]

    def fernet_keys(self, name: str) -> tuple[str, ...]:
        """Read keys of 32 bytes in URL-safe base64; a wrong one is not repeated in the error."""
        keys = tuple(self.items(name))
        for key in keys:
            try:
                length = len(base64.b64decode(key, altchars=b"-_", validate=True))
            except ValueError:
                length = 0
            if length != 32:
                raise SettingInvalid(
                    name, "must be Fernet keys (32 random bytes in URL-safe base64) and commas"
                )
        return keys

    def networks(self, name: str) -> tuple[IPv4Network | IPv6Network, ...]:
        """Read networks in CIDR notation."""
        try:
            return tuple(ip_network(item) for item in self.items(name))
        except ValueError as error:
            raise SettingInvalid(name, f"must be networks and commas: {error}") from None

    def pairs(self, name: str, scheme: str, rest: str) -> dict[str, str]:
        """Read `node=url` pairs, separated by commas; a wrong one is not repeated in the error."""
        pairs = {}
        for pair in self.items(name):
            node, equals, url = pair.partition("=")
            if not (node and equals and url.startswith(scheme)):
                raise SettingInvalid(name, f"must be like node1={scheme}{rest},node2=…")
            pairs[node] = url
        return pairs
