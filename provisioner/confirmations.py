"""The end of a change's way: a node confirmed it, which log, metrics and the trace tell."""

import logging
from collections.abc import Sequence

from provisioner import tallies, tracing
from provisioner.lines import about
from provisioner.model import Node
from provisioner.sync_store import Confirmed

log = logging.getLogger(__name__)


def tell(node: Node, work: str, confirmed: Sequence[Confirmed], began: int) -> None:
    """Tell what a node has confirmed, by accounts' ids; `began` (ns since 1970) when it was asked.

    Call it when that is committed.
    """
    convergence = tallies.CONVERGENCE.labels(node.name, work)
    for one in confirmed:
        ms = None if one.ms is None else round(one.ms, 3)
        facts = about(
            node=node.name,
            account_id=one.account_id,
            generation=one.generation,
            request_id=one.request_id,
            ms=ms,
        )
        log.info("%s confirmed", work, extra=facts)
        if one.ms is not None:
            convergence.observe(max(0.0, one.ms / 1000))
        tracing.ended(
            work,
            one.traceparent,
            began,
            provisioner__node=node.name,
            provisioner__account_id=one.account_id,
            provisioner__generation=one.generation,
            provisioner__request_id=one.request_id,
        )
