"""Carries out effects, one request each. Raises the first ClusterError: what follows it is for the next pass."""

from datetime import datetime
from typing import assert_never

from penstock.api.reasons import Reason
from penstock.cluster.client import Api
from penstock.cluster.errors import Conflict, Refused
from penstock.cluster.kinds import EVENT, kind_of
from penstock.reconcile.effects import Apply, Create, Delete, Event, Ref, Status, ref_of
from penstock.world import Manifest

REPORTER = "penstock.dev/operator"

Write = Create | Apply | Delete | Status | Event


async def carry_out(api: Api, effect: Write, reporter: str, now: datetime) -> None:
    """Do it. `reporter` names this operator process in Events. Raises ClusterError."""
    match effect:
        case Create(manifest):
            ref = ref_of(manifest)
            await api.create(kind_of(ref.api_version, ref.kind), manifest)
        case Apply(manifest):
            ref = ref_of(manifest)
            await api.apply(kind_of(ref.api_version, ref.kind), manifest)
        case Delete(ref, uid):
            try:
                await api.delete(kind_of(ref.api_version, ref.kind), ref.namespace, ref.name, uid)
            except Conflict:
                # It is gone, or another of its name is there: as good as deleted.
                return
        case Status():
            kind = kind_of(effect.ref.api_version, effect.ref.kind)
            status = effect.status.model_dump(mode="json", by_alias=True, exclude_none=True)
            await api.replace_status(kind, effect.ref, effect.uid, effect.resource_version, status)
        case Event():
            try:
                await api.post(EVENT, event_manifest(effect, reporter, now))
            except Conflict:
                # It was told before a crash.
                return
            except Refused as refusal:
                # A namespace that is being deleted takes no Events; the status can still tell.
                if refusal.reason is not Reason.NAMESPACE_TERMINATING:
                    raise
        case _:
            assert_never(effect)


def summary(effect: Write) -> str:
    """One line for the log."""
    match effect:
        case Create(manifest):
            return f"created {_named(ref_of(manifest))}"
        case Apply(manifest, why):
            return f"applied {_named(ref_of(manifest))}: {why}"
        case Delete(ref, _, why):
            return f"deleted {_named(ref)}: {why}"
        case Status(ref):
            return f"wrote the status of {_named(ref)}, epoch {effect.epoch}"
        case Event():
            return f"told of {_named(effect.regarding)}: {effect.reason}: {effect.note}"
        case _:
            assert_never(effect)


def _named(ref: Ref) -> str:
    return f"{ref.kind} {ref.namespace}/{ref.name}"


def event_manifest(event: Event, reporter: str, now: datetime) -> Manifest:
    """The Event as the API server takes it (events.k8s.io/v1)."""
    about = event.regarding
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.kind,
        "metadata": {"name": event.name, "namespace": about.namespace},
        "eventTime": now.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "reportingController": REPORTER,
        "reportingInstance": reporter[:128],
        "action": event.action,
        "reason": event.reason,
        "regarding": {
            "apiVersion": about.api_version,
            "kind": about.kind,
            "namespace": about.namespace,
            "name": about.name,
            "uid": event.uid,
        },
        "note": event.note,
        "type": event.type.value,
    }
