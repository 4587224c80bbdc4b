"""Makes one Kamailio node obey: does its pending work, and compares it with the desired state.

All that a node needs to be told is a row, so a crash at any point repeats work and loses none:
a row is marked only after the node confirmed, and only if no newer change has replaced it.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from math import floor
from time import monotonic, time_ns

from provisioner import comparison, confirmations, store, sync_store, tallies
from provisioner.db import Connection
from provisioner.errors import NodeUnavailable, RpcFailed
from provisioner.kamailio import Binding, Drop, KamailioNode, Uptime
from provisioner.model import Node
from provisioner.registrations import aor_of
from provisioner.replica import Replica
from provisioner.sources import is_inside
from provisioner.sync_store import Kick, LiveCall, Wanted

log = logging.getLogger(__name__)

LOOK_INTERVAL = 1.0  # seconds between two looks whether a node is there
BATCH = 500  # pending rows of one step
SECOND_BATCH = 100  # of those that were done once
# What may be stale at a node, as it calls it: the credentials that it remembers, and its replica of
# the database.
MEMORY, REPLICA = "cache", "replica"
SECOND_LOOK = 1.0  # seconds after which a REGISTER that was in flight has been saved, at the least
RELOAD_PAUSE = 1.0  # seconds; Kamailio refuses a reload so soon after another (reload_delta)
BEHIND_MAX = 3.0  # seconds that a node may be behind and still be vouched for
FAILED_RETRY = 5.0  # seconds before a command that the node refused is tried again


def _nothing() -> None:
    """There is nothing to tell."""


class NodeSync:
    """One node, as long as this session holds its lock.

    Every method may raise NodeUnavailable and DatabaseUnavailable; what was left undone is then
    done by whoever takes the node next.
    """

    def __init__(
        self,
        connection: Connection,
        node: Node,
        kamailio: KamailioNode,
        interval: float,
        replica: Replica | None = None,
    ) -> None:
        self._connection = connection
        self.node = node
        self._kamailio = kamailio
        self._interval = interval
        self._longest_pause = max(interval, RELOAD_PAUSE, FAILED_RETRY)
        self._replica = replica
        self._realm = store.realm(connection)
        self._uptime: Uptime | None = None
        self._incarnation: str | None = None
        self._ready = False
        self._look_at = monotonic()
        self._compare_at = monotonic()
        self._again_at = monotonic()
        self._reload_from = monotonic()
        self._untold: Callable[[], None] = _nothing
        self._fresh_from: float | None = None
        self._replica_is_fresh = False

    def step(self) -> None:
        """Do what is due, a batch of it at most, and see now and then whether the node is there.

        What was asked for comes before that, and does not wait for second looks.
        """
        if self._uptime is not None:
            self._do_work(self._uptime)
        looked = monotonic() >= self._look_at
        uptime = self._look() if looked or self._uptime is None else self._uptime
        if looked:
            self._do_work(uptime)
        if monotonic() >= self._again_at:
            self._look_again(uptime)
        if monotonic() >= self._compare_at:
            self._compare()
        if looked:
            self._declare_ready(self._seen("up", uptime).behind)
            self._refresh()

    def leave(self) -> None:
        """Let the node rely on nobody, as nobody will tell it of changes."""
        self._tell()
        self._kamailio.is_stale(REPLICA)
        self._replica_is_fresh = False
        self._kamailio.is_stale(MEMORY)

    def _look(self) -> Uptime:
        """See since when the node runs. One that has restarted holds what it read from tables that
        may have been behind, so it is not trusted before it has been compared.
        """
        self._look_at = monotonic() + LOOK_INTERVAL
        uptime = self._kamailio.uptime()
        if self._uptime is None or uptime.up_since != self._uptime.up_since:
            self._compare_at = monotonic()
            self._ready = False
            self._seen("catching_up", uptime)
            self.leave()
            self._fresh_from = monotonic() + SECOND_LOOK
            self._incarnation = self._kamailio.incarnation()
            sync_store.node_calls_itself(self._connection, self.node.id, self._incarnation)
        self._uptime = uptime
        return uptime

    def _refresh(self) -> None:
        """Let the node use what it remembers, as far as it has been told of all changes.

        The node's clock is read first: what was committed by then and is not done yet is counted by
        the query. So a word that arrives late promises no more than one that arrives at once. What
        the node has remembered before this session had it is forgotten: while it was not ours, or
        was not known, changes may have left no work for it.
        """
        if self._fresh_from is not None:
            if monotonic() < self._fresh_from:
                return
            self._kamailio.forget_all()
            self._fresh_from = None
        now = self._kamailio.clock()
        behind = sync_store.seconds_behind(self._connection, self.node.id)
        if now is not None and behind is not None:
            self._kamailio.is_fresh(MEMORY, floor(now - behind))
            self._refresh_replica(floor(now - behind))

    def _refresh_replica(self, as_of: int) -> None:
        """Let the node read from its replica, as long as that shows what was written last here, and
        so all changes that the node has been told of before.
        """
        mark = sync_store.node_mark(self._connection, self.node.id)
        if self._replica is not None and mark is not None:
            if self._replica.follows(self.node.id, mark):
                self._kamailio.is_fresh(REPLICA, as_of)
                self._replica_is_fresh = True
            else:
                self._doubt_replica()
        found = None if self._replica is None else self._replica.found
        sync_store.node_replica(self._connection, self.node.id, found)

    def _mind_replica(self, kicks: Sequence[Kick]) -> None:
        """Before a fence is raised: where the replica does not show what is to be obeyed, the node
        reads there no more. No work waits for a replica that is slow.
        """
        if self._replica is None or not self._replica_is_fresh:
            return
        if not self._replica.shows(self.node.id, kicks):
            self._doubt_replica()

    def _doubt_replica(self) -> None:
        if self._replica_is_fresh:
            self._kamailio.is_stale(REPLICA)
            self._replica_is_fresh = False

    def seconds_to_next_step(self, longest: float) -> float:
        """Return how long nothing will be due, at the most `longest`."""
        work = sync_store.seconds_to_next_work(self._connection, self.node.id)
        routine_due = max(0.0, min(self._compare_at, self._again_at) - monotonic())
        return min(longest, routine_due, longest if work is None else work)

    def _seen(self, state: str, uptime: Uptime) -> Wanted:
        """Record what the node answered, and have it drain, or take calls again, as is wanted.

        Its calls are counted after it was asked whether it refuses new ones.
        """
        refuses = self._kamailio.is_draining()
        wanted = sync_store.node_seen(
            self._connection,
            self.node,
            state,
            uptime.started_at,
            refuses=refuses,
            dialogs=self._kamailio.dialogs_count(),
        )
        if wanted is None:
            raise NodeUnavailable("The node has been removed, or has another address now.")
        if wanted.draining != refuses:
            self._kamailio.drain(draining=wanted.draining)
        return wanted

    def _declare_ready(self, behind: float | None) -> None:
        """Vouch for the node to load balancers, for a few looks, once it has done all that it had
        to when it came, and while it is not far behind.
        """
        self._ready = self._ready or behind is None
        if self._ready and (behind or 0.0) < BEHIND_MAX:
            self._kamailio.declare_ready()

    def _do_work(self, uptime: Uptime) -> None:
        kicks, reload = sync_store.work_due(
            self._connection, self.node.id, BATCH, self._longest_pause
        )
        if kicks:
            self._do_kicks(uptime, kicks)
        else:
            self._tell()
        if reload is not None:
            self._do_reload(reload)

    def _do_kicks(self, uptime: Uptime, kicks: Sequence[Kick]) -> None:
        """Have the node obey, and write down that it did; what the batch before has confirmed is
        told meanwhile.
        """
        began = time_ns()
        done = self._obeyed(uptime, kicks)
        confirmed = sync_store.confirm_kicks(
            self._connection, self.node.id, done, SECOND_LOOK, meanwhile=self._tell
        )
        self._untold = partial(confirmations.tell, self.node, "kick", confirmed, began)
        if len(kicks) < BATCH:
            self._tell()

    def _tell(self) -> None:
        self._untold, untold = _nothing, self._untold
        untold()

    def _look_again(self, uptime: Uptime) -> None:
        """Do a second time what was done a while ago: a few at a time, so that what is asked for
        meanwhile waits no longer than for those.
        """
        kicks = sync_store.second_looks_due(self._connection, self.node.id, SECOND_BATCH)
        pause = LOOK_INTERVAL if len(kicks) < SECOND_BATCH else 0.0
        self._again_at = monotonic() + pause
        if kicks:
            done = self._obeyed(uptime, kicks)
            sync_store.finish_kicks(self._connection, self.node.id, done)

    def _obeyed(self, uptime: Uptime, kicks: Sequence[Kick]) -> list[Kick]:
        """Have the node obey, as far as it does; return what it has done."""
        self._mind_replica(kicks)
        obeyed = self._drop(kicks)
        calls = sync_store.calls_to_end(
            self._connection,
            self.node.id,
            self._incarnation,
            [kick.username for kick in obeyed],
            dropped=[kick.username for kick in obeyed if kick.drops_everything],
        )
        done = [kick for kick in obeyed if self._end_all(kick, calls.get(kick.username, []))]
        self._ensure_same_process(uptime)
        return done

    def _ensure_same_process(self, uptime: Uptime) -> None:
        """Let the work be repeated where the node restarted after it had dropped bindings: it
        may have read them again before their rows were erased.
        """
        if self._kamailio.uptime().up_since != uptime.up_since:
            raise NodeUnavailable("The node restarted meanwhile.")

    def _drop(self, kicks: Sequence[Kick]) -> list[Kick]:
        """Drop what is not allowed of each username's bindings; return those about whom the node
        did as it was told.

        The fences come before the bindings: a REGISTER that was let in by the former row and is
        saved after they are dropped sees that it moved, and undoes itself. The node also forgets
        that row.
        """
        failures = self._kamailio.drop_all(
            [
                Drop(
                    kick.username,
                    aor_of(kick.username, self._realm) if kick.drops_everything else None,
                    None if kick.confirmed else kick.generation,
                )
                for kick in kicks
            ]
        )
        refused = {
            kick.username
            for kick, error in zip(kicks, failures, strict=True)
            if error and self._refused(kick, error)
        }
        refused |= {kick.username for kick in kicks if not self._drop_older(kick)}
        restricted = [
            kick
            for kick in kicks
            if not kick.drops_all and kick.sources.restricted and kick.username not in refused
        ]
        if restricted:
            cloudfire = sync_store.cloudfire_cidrs(self._connection)
            refused |= {kick.username for kick in restricted if not self._restrict(kick, cloudfire)}
        return [kick for kick in kicks if kick.username not in refused]

    def _drop_older(self, kick: Kick) -> bool:
        """Drop the bindings that are older than late work; False where the node refused."""
        if not kick.drops_older:
            return True
        aor = aor_of(kick.username, self._realm)
        try:
            for binding in self._kamailio.bindings(aor):
                if binding.registered_at <= kick.asked_at:
                    self._drop_binding(aor, binding)
        except RpcFailed as error:
            return not self._refused(kick, error)
        return True

    def _drop_binding(self, aor: str, binding: Binding) -> None:
        self._kamailio.drop_binding(aor, binding.contact)
        sync_store.erase_binding(self._connection, binding.ruid)

    def _restrict(self, kick: Kick, cloudfire: Sequence[str]) -> bool:
        """Drop the bindings from outside a username's networks; False where the node refused."""
        try:
            self._drop_outside(kick.username, kick.sources.networks(cloudfire))
        except RpcFailed as error:
            return not self._refused(kick, error)
        return True

    def _end_all(self, kick: Kick, calls: Sequence[LiveCall]) -> bool:
        """End calls of a username; False where the node refused.

        Those that were answered are written down as over here: where devices answer the BYE before
        Kamailio looks at the call again, it runs no event_route[dialog:end] (dialog, dlg_bye_all).
        """
        try:
            for call in calls:
                self._end(call)
        except RpcFailed as error:
            return not self._refused(kick, error)
        if over := [call.call for call in calls if call.answered]:
            sync_store.end_calls(self._connection, over)
        return True

    def _refused(self, kick: Kick, error: RpcFailed) -> bool:
        """Have work that the node refused tried again later."""
        self._failing(error, "kick")
        sync_store.postpone_kick(self._connection, self.node.id, kick, FAILED_RETRY)
        return True

    def _end(self, call: LiveCall) -> None:
        """End a call at both sides. One that rings by what we know may have been answered since: to
        refuse it would do nothing then.
        """
        if not call.answered:
            self._kamailio.refuse_call(call.sip_call_id, call.sip_cseq)
        self._kamailio.end_call(call.dialog_entry, call.dialog_id, call.sip_call_id)

    def _drop_outside(self, username: str, cidrs: Sequence[str]) -> None:
        aor = aor_of(username, self._realm)
        for binding in self._kamailio.bindings(aor):
            if not is_inside(binding.source_address, cidrs):
                self._drop_binding(aor, binding)

    def _do_reload(self, generation: int) -> None:
        began = time_ns()
        pause = self._reload_from - monotonic()
        if pause > 0:
            sync_store.postpone_reload(self._connection, self.node.id, pause)
        elif self._reload():
            self._drop_all_outside()
            confirmed = sync_store.finish_reload(self._connection, self.node.id, generation)
            confirmations.tell(self.node, "reload", confirmed, began)
            # A REGISTER in flight may have been let in by the former allowlists.
            self._compare_at = min(self._compare_at, monotonic() + SECOND_LOOK)

    def _reload(self) -> bool:
        """Let the node load the allowlists and, where they have changed, the trunks: of those
        that it loads it forgets which ones are away. False where it has to be tried again later.
        """
        self._reload_from = monotonic() + RELOAD_PAUSE
        retry = RELOAD_PAUSE
        try:
            self._kamailio.reload_allowlists()
            if comparison.trunks_difference(self._connection, self._kamailio):
                self._kamailio.reload_trunks()
            differences = {
                "permissions.addressReload": comparison.allowlist_difference(
                    self._connection, self._kamailio
                ),
                "dispatcher.reload": comparison.trunks_difference(self._connection, self._kamailio),
            }
            wrong = [RpcFailed(method, 0, text) for method, text in differences.items() if text]
            if not wrong:
                return True
            retry = self._interval
            self._failing(wrong[0], "reload")
        except RpcFailed as error:
            if "ongoing reload" not in error.message.lower():
                retry = FAILED_RETRY
                self._failing(error, "reload")
        sync_store.postpone_reload(self._connection, self.node.id, retry)
        return False

    def _drop_all_outside(self) -> None:
        """Drop what newly loaded allowlists shut out."""
        cloudfire = sync_store.cloudfire_cidrs(self._connection)
        usernames = comparison.bound_usernames(self._connection, self._kamailio, self._realm)
        for username, sources in sync_store.restricted_accounts(self._connection, usernames):
            self._drop_outside(username, sources.networks(cloudfire))

    def _compare(self) -> None:
        self._compare_at = monotonic() + self._interval
        with tallies.COMPARISON.labels("node").time():
            plan = comparison.plan_node(self._connection, self.node, self._kamailio)
            comparison.repair(self._connection, plan, {}, None)
        sync_store.node_compared(self._connection, self.node.id)

    def _failing(self, error: RpcFailed, kind: str) -> None:
        tallies.REFUSED_WORK.labels(self.node.name, kind).inc()
        log.error("%s: %s", self.node.name, error.detail)
        sync_store.node_failing(self._connection, self.node.id, error.detail)
