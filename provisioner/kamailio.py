"""Kamailio's JSON-RPC over HTTP: one class, one method a command used."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from provisioner.attempt import Attempt
from provisioner.ban import Ban, key_of
from provisioner.errors import NodeUnavailable, RpcFailed
from provisioner.keepalive import Answer, KeptConnection, request

TIMEOUT = 5.0  # seconds for one command
TABLE = "location"  # usrloc's table of bindings
ATTEMPTS = ("mistake", "refusal")  # the tables of kamailio/diagnosis.cfg
BANS, HOMES = "ban", "home"  # those of kamailio/guard.cfg
CACHE, FRESH = "cached", "fresh"  # those of kamailio/cache.cfg
DRAINING, READY = ("node", "draining"), ("ready", "node")  # kamailio/draining.cfg: table, name
_MISSING = (
    "not found",
    "not found in location table",
    "has no contacts",
    "Key name doesn't exist in htable.",
    "No such htable",  # the node has an older configuration
)
Command = tuple[Any, ...]  # a method and its parameters
_NO_METHOD = "Method Not Found"  # the same
_NO_TRUNKS = "No Destination Sets"
# Accounts of one request: Kamailio reads 4 KB of one, and leaves a loop after 100 rounds.
DROPPED_AT_ONCE = 30
NOT_SET = "[not set]"  # usrloc's word for an absent value


@dataclass(frozen=True)
class Binding:
    """A registered contact of an AOR (RFC 3261 section 10). `source` is where it came from, and
    `registered_at` when it was saved last; `local` is False where another node has told of it.
    """

    ruid: str
    contact: str
    source: str
    transport: str
    user_agent: str
    expires_at: datetime
    registered_at: datetime
    local: bool = True

    @property
    def source_address(self) -> str:
        """Return the source without its port, and an IPv6 address without its brackets."""
        host, _, port = self.source.rpartition(":")
        return (host if host and port.isdigit() else self.source).strip("[]")

    @classmethod
    def from_rpc(cls, contact: Mapping[str, Any], now: datetime) -> "Binding":
        """Make one from a contact of `ul.lookup`."""
        received = contact.get("Received", NOT_SET)
        uri = contact["Address"] if received == NOT_SET else received
        source, transport = _host_port(shown(uri))
        return cls(
            ruid=contact["Ruid"],
            contact=contact["Address"],
            source=source,
            transport=transport,
            user_agent=contact.get("User-Agent", ""),
            expires_at=now + timedelta(seconds=_seconds(contact["Expires"])),
            registered_at=datetime.fromtimestamp(contact["Last-Modified"], UTC),
            local=contact.get("Socket") != NOT_SET,
        )


@dataclass(frozen=True)
class Uptime:
    """Since when a node runs. `up_since` is its own text, which differs after each restart;
    `started_at` is right to within a second.
    """

    up_since: str
    started_at: datetime


@dataclass(frozen=True)
class Destination:
    """A trunk as a node's dispatcher holds it. `asked`: by OPTIONS whether it is there."""

    set_id: int
    uri: str
    priority: int
    asked: bool
    attributes: str

    @classmethod
    def from_rpc(cls, set_id: int, item: Mapping[str, Any]) -> "Destination":
        """Make one from a destination of `dispatcher.list`."""
        attributes = item.get("ATTRS", {}).get("BODY") or ""
        return cls(set_id, item["URI"], item["PRIORITY"], "P" in item["FLAGS"], attributes)


@dataclass(frozen=True)
class Drop:
    """A username about whom a node is told, and the AOR all of whose bindings are to go (None: not
    all).

    `fence` is the generation of the change that wants it: the node forgets the credentials that it
    has read before, and REGISTERs that were let in by them, and are saved afterwards, undo
    themselves. None: it was told before.
    """

    username: str
    aor: str | None
    fence: int | None

    def commands(self) -> list[Command]:
        """Return what a node has to be told, in this order."""
        commands: list[Command] = []
        if self._moved_to is not None:
            commands.append(("htable.seti", "fence", self.username, self._moved_to))
        if self.aor is not None:
            commands.append(("ul.rm", TABLE, self.aor))
        return commands

    def line(self) -> bytes:
        """Return the same as one of many that a node is told at once (kamailio/rpc.cfg)."""
        fence = "-" if self._moved_to is None else self._moved_to
        return f"{self.username}|{fence}|{self.aor or '-'};".encode()

    @property
    def _moved_to(self) -> int | None:
        """The fence as the module takes it: of 31 bits, and 0 would be none; neighbours differ."""
        return None if self.fence is None else 1 + self.fence % (2**31 - 2)


class KamailioNode:
    """One node's JSON-RPC interface, over a connection that is kept and reopened as needed.

    Every method raises NodeUnavailable where the node does not answer, and RpcFailed where it
    answers with an error.
    """

    def __init__(self, rpc_url: str, token: str, *, timeout: float = TIMEOUT) -> None:
        """Take the address of the node's RPC; a command is given up after `timeout` seconds."""
        parts = urlsplit(rpc_url)
        self._path = parts.path or "/"
        folder = self._path.rpartition("/")[0]
        self._refuse_path, self._clock_path = f"{folder}/refuse", f"{folder}/clock"
        self._drop_path = f"{folder}/drop"
        self._host = parts.netloc
        self._connection = KeptConnection(parts.hostname or "", parts.port or 80, timeout)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def close(self) -> None:
        """Close the connection; the next command opens another."""
        self._connection.close()

    def uptime(self) -> Uptime:
        """Return since when the node's process runs (core.uptime)."""
        answer = self.call("core.uptime")
        started_at = datetime.now(UTC) - timedelta(seconds=answer["uptime"])
        return Uptime(answer["up_since"], started_at.replace(microsecond=0))

    def incarnation(self) -> str | None:
        """Return what the process calls itself in its calls and its lease (htable.get); None where
        its configuration has no calls.
        """
        found = self._call_unless_missing("htable.get", "node", "incarnation")
        return None if found is None else str(found["item"]["value"])

    def clock(self) -> int | None:
        """Return the time by the node's clock, in seconds since the epoch, rounded down; None where
        its configuration has nothing to trust (kamailio/rpc.cfg).
        """
        asked = request(self._clock_path, self._host, self._headers, b"")
        status, content = self._exchange([asked])[0]
        if status == 404:
            return None
        if status != 200 or not content.isdigit():
            raise RpcFailed(self._clock_path, status, f"the node answers {status}")
        return int(content)

    def is_fresh(self, what: str, as_of: int) -> None:
        """Let the node use what it holds: as of a time by its own clock nothing of it was out of
        date. Of a time that is long ago the node makes nothing (htable.seti).
        """
        self._call_unless_missing("htable.seti", FRESH, what, as_of)

    def is_stale(self, what: str) -> None:
        """Make the node ask the database instead, at once."""
        self.is_fresh(what, 0)

    def forget_all(self) -> None:
        """Make the node forget the credentials of all accounts (htable.flush)."""
        self._call_unless_missing("htable.flush", CACHE)

    def drop_bindings(self, aor: str) -> None:
        """Remove all bindings of an AOR; nothing to remove is fine (ul.rm)."""
        self._call_unless_missing("ul.rm", TABLE, aor)

    def drop_all(self, dropped: Sequence[Drop]) -> list[RpcFailed | None]:
        """Fence many usernames, and remove all bindings of those who may have none; return why that
        failed for each, None where it did not. What a node of an older configuration cannot be told
        is fine.
        """
        left = self._drop_at_once(dropped)
        again = [one for one in dropped if one.username in left]
        failures = iter(self._drop_one_by_one(again) if again else ())
        return [next(failures) if one.username in left else None for one in dropped]

    def _drop_at_once(self, dropped: Sequence[Drop]) -> set[str]:
        """Tell a node of many usernames in few requests; return those about whom it did not do as
        it was told. A node of an older configuration does so for nobody.
        """
        starts = range(0, len(dropped), DROPPED_AT_ONCE)
        groups = [dropped[start : start + DROPPED_AT_ONCE] for start in starts]
        bodies = [b"".join(one.line() for one in group) for group in groups]
        answers = self._exchange(
            [request(self._drop_path, self._host, self._headers, body) for body in bodies]
        )
        left: set[str] = set()
        for number, group in enumerate(groups):
            status, content = answers[number] if number < len(answers) else (0, b"")
            count, *refused = content.decode(*_CODEC).split(";")
            done = status == 200 and count == str(len(group))
            left.update(refused if done else [one.username for one in group])
        return left

    def _drop_one_by_one(self, dropped: Sequence[Drop]) -> list[RpcFailed | None]:
        plans = [one.commands() for one in dropped]
        failures = iter(self._call_all([command for plan in plans for command in plan]))
        outcomes = [[next(failures) for _ in plan] for plan in plans]
        return [next(filter(None, outcome), None) for outcome in outcomes]

    def drop_binding(self, aor: str, contact: str) -> None:
        """Remove one binding of an AOR; nothing to remove is fine (ul.rm_contact)."""
        self._call_unless_missing("ul.rm_contact", TABLE, aor, contact)

    def bindings(self, aor: str) -> list[Binding]:
        """List the bindings of an AOR (ul.lookup)."""
        found = self._call_unless_missing("ul.lookup", TABLE, aor)
        if found is None:
            return []
        now = datetime.now(UTC)
        return [Binding.from_rpc(item["Contact"], now) for item in found["Contacts"]]

    def aors(self) -> Iterator[str]:
        """List the AORs that have, or a moment ago had, bindings, as `user@domain` (ul.dump brief).

        One whose bindings were dropped stays until usrloc's timer runs.
        """
        for domain in self.call("ul.dump", "brief")["Domains"]:
            for aor in domain["Domain"]["AoRs"]:
                yield aor["AoR"]

    def attempts(self, username: str) -> list[Attempt]:
        """Return the last attempts of a username that the node has refused (htable.get).

        A mistake and a refusal at the most; none where another's are in its place.
        """
        name = hashlib.md5(username.encode(), usedforsecurity=False).hexdigest()[:4]
        answers = [self._call_unless_missing("htable.get", table, name) for table in ATTEMPTS]
        try:
            found = [Attempt.parse(answer["item"]["value"]) for answer in answers if answer]
        except (KeyError, TypeError, ValueError, AttributeError):
            raise RpcFailed("htable.get", 0, "the entry cannot be read") from None
        return [attempt for attempt in found if attempt.username == username]

    def bans(self) -> list[Ban]:
        """List the sources that the node refuses (htable.dump)."""
        found = self._call_unless_missing("htable.dump", BANS)
        return _bans("htable.dump", (item for slot in found or [] for item in slot["slot"]))

    def bans_of(self, sources: Iterable[str], username: str) -> list[Ban]:
        """Return the bans of some sources, those as a whole and those for one account; how many
        others are banned does not matter (htable.get).
        """
        keys = [key for one in map(key_of, sources) for key in (one, f"{one} {username}")]
        answers = [self._call_unless_missing("htable.get", BANS, key) for key in keys]
        return _bans("htable.get", (answer["item"] for answer in answers if answer))

    def lift_ban(self, ban: Ban) -> None:
        """Let a source in again; one that is not banned any more is fine (htable.delete)."""
        self._call_unless_missing("htable.delete", BANS, ban.key)

    def is_home(self, ban: Ban) -> bool:
        """Say whether a device has registered from a banned source of late (htable.get)."""
        return self._call_unless_missing("htable.get", HOMES, ban.key) is not None

    def is_draining(self) -> bool:
        """Say whether the node refuses what is new (htable.get)."""
        return self._call_unless_missing("htable.get", *DRAINING) is not None

    def drain(self, *, draining: bool) -> None:
        """Have the node refuse what is new, or take it again (htable.seti, htable.delete)."""
        if draining:
            self._call_unless_missing("htable.seti", *DRAINING, 1)
        else:
            self._call_unless_missing("htable.delete", *DRAINING)

    def declare_ready(self) -> None:
        """Let the node tell load balancers, for some seconds, that it is ready (htable.seti)."""
        self._call_unless_missing("htable.seti", *READY, 1)

    def dialogs_count(self) -> int | None:
        """Count the calls in progress, those that ring included; None where the node has no calls
        (dlg.stats_active).
        """
        found = self._call_if_known("dlg.stats_active")
        return None if found is None else int(found["all"])

    def reload_allowlists(self) -> None:
        """Load the address table again (permissions.addressReload)."""
        self.call("permissions.addressReload")

    def reload_trunks(self) -> None:
        """Load the dispatcher's list again; a node that has no dispatcher has none to load
        (dispatcher.reload).
        """
        self._call_if_known("dispatcher.reload")

    def reload_certificates(self) -> None:
        """Read the TLS certificates again; where they cannot be read, those in use stay in use
        (tls.reload).
        """
        self.call("tls.reload")

    def trunks(self) -> set[Destination] | None:
        """Return the destinations that the node holds in memory; None where it has no dispatcher
        (dispatcher.list).
        """
        try:
            found = self._call_if_known("dispatcher.list")
        except RpcFailed as error:
            if error.message == _NO_TRUNKS:
                return set()
            raise
        if found is None:
            return None
        return {
            Destination.from_rpc(one["SET"]["ID"], target["DEST"])
            for one in found["RECORDS"]
            for target in one["SET"]["TARGETS"]
        }

    def dialogs(self) -> set[tuple[int, int]] | None:
        """Return entry and id of every dialog; None where the node has no calls (dlg.briefing).

        Of what can be told of a dialog nothing else is asked for, so that many of them fit into
        the process's memory.
        """
        found = self._call_if_known("dlg.briefing", "-")
        if found is None:
            return None
        return {(one["h_entry"] % 2**32, one["h_id"] % 2**32) for one in found}

    def end_call(self, entry: int, dialog_id: int, sip_call_id: str) -> None:
        """Send BYE to both sides; a call that has ended is fine. Of one that nobody has answered
        Kamailio says the same, and does nothing (dlg.end_dlg). `sip_call_id` is in hexadecimal:
        what devices answer waits until both have been asked (kamailio/rpc.cfg).
        """
        command = self._command("dlg.end_dlg", entry, dialog_id, headers={"X-Call-ID": sip_call_id})
        failure = _failure("dlg.end_dlg", self._exchange([command])[0])
        if failure is not None:
            raise failure

    def refuse_call(self, sip_call_id: str, cseq: int) -> bool:
        """Answer the caller of a call that rings with 403, which cancels the callee; False where
        it does not ring any more. `sip_call_id` is in hexadecimal (kamailio/rpc.cfg).
        """
        headers = {**self._headers, "X-Call-ID": sip_call_id, "X-CSeq": str(cseq)}
        status, _ = self._exchange([request(self._refuse_path, self._host, headers, b"")])[0]
        if status not in (204, 404):
            raise RpcFailed(self._refuse_path, status, f"the node answers {status}")
        return status == 204

    def allowlist(self) -> set[tuple[int, str]]:
        """Return the (group, CIDR) pairs that the node holds in memory."""
        return {
            (entry["group"], _cidr(entry["item"]))
            for command in ("permissions.addressDump", "permissions.subnetDump")
            for entry in self.call(command)
        }

    def call(self, method: str, *parameters: Any) -> Any:
        """Run one JSON-RPC 2.0 command and return its result."""
        return _result(method, self._exchange([self._command(method, *parameters)])[0])

    def _command(
        self, method: str, *parameters: Any, headers: Mapping[str, str] | None = None
    ) -> bytes:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)}
        return request(self._path, self._host, {**self._headers, **(headers or {})}, _encode(body))

    def _call_all(self, commands: Sequence[Command]) -> list[RpcFailed | None]:
        """Run commands, in order and without waiting in between; return why each failed, None where
        it did not. Where the node hangs up on a failure, that is why all that follow failed.

        Raises:
            NodeUnavailable: it hangs up on no failure: what follows was not done.
        """
        answers = self._exchange([self._command(*command) for command in commands])
        failures = [
            _failure(command[0], answer) for command, answer in zip(commands, answers, strict=False)
        ]
        if len(failures) < len(commands) and failures[-1] is None:
            raise NodeUnavailable("The node hangs up.")
        return failures + failures[-1:] * (len(commands) - len(failures))

    def _call_unless_missing(self, method: str, *parameters: Any) -> Any:
        try:
            return self.call(method, *parameters)
        except RpcFailed as error:
            if error.message.endswith(_MISSING):
                return None
            raise

    def _call_if_known(self, method: str, *parameters: Any) -> Any:
        """Run a command; None where the node's configuration does not have its module."""
        try:
            return self.call(method, *parameters)
        except RpcFailed as error:
            if error.message == _NO_METHOD:
                return None
            raise

    def _exchange(self, requests: Sequence[bytes]) -> list[Answer]:
        try:
            return self._connection.exchange(requests)
        except OSError as error:
            raise NodeUnavailable(f"The node does not answer: {error}") from error


# Devices may send any bytes, and a command must be able to name them as they are.
_CODEC = ("utf-8", "surrogateescape")


def _result(method: str, answer: Answer) -> Any:
    """Return the result of a command.

    Raises:
        RpcFailed: the answer is an error.
    """
    try:
        content = json.loads(answer[1].decode(*_CODEC))
        error = content.get("error")
    except (ValueError, AttributeError):
        # The answer itself is not told: it may hold what devices sent.
        raise RpcFailed(method, 0, "the answer is not JSON-RPC") from None
    if error is not None:
        raise RpcFailed(method, int(error.get("code", 0)), str(error.get("message", "")))
    return content.get("result")


def _failure(method: str, answer: Answer) -> RpcFailed | None:
    try:
        _result(method, answer)
    except RpcFailed as error:
        return None if error.message.endswith(_MISSING) else error
    return None


def _bans(method: str, items: Iterable[Mapping[str, Any]]) -> list[Ban]:
    try:
        return [Ban.parse(item["name"], item["value"]) for item in items]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise RpcFailed(method, 0, "an entry cannot be read") from None


def _encode(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode(*_CODEC)


def shown(text: str) -> str:
    """Return a node's text as it can be shown and stored: what is not UTF-8 is replaced."""
    return text.encode(*_CODEC).decode("utf-8", "replace")


def _host_port(uri: str) -> tuple[str, str]:
    """Take `address:port` and the transport out of a SIP URI."""
    address, *parameters = uri.removeprefix("sip:").rpartition("@")[2].split(";")
    transports = [p.partition("=")[2] for p in parameters if p.startswith("transport=")]
    return address, (transports or ["udp"])[0].lower()


def _seconds(expires: object) -> int:
    """The usrloc module says a number of seconds, or a word: "expired", "deleted", "permanent"."""
    return expires if isinstance(expires, int) else 0


def _cidr(item: Mapping[str, Any]) -> str:
    """Write an entry as a CIDR; entries of a single address come without a mask."""
    address = ip_address(item["ip"])
    return str(ip_network((address, item.get("mask", address.max_prefixlen)), strict=False))
