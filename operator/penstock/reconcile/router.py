"""One pass over the router of a namespace: rendered from one consistent LIST of its models, removed when none is left.

The table comes first: it is what moves traffic.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta

from penstock.api.conditions import ConditionStatus, ConditionType
from penstock.api.names import API_VERSION, LABEL_MANAGED_BY, MANAGED_BY, router_name
from penstock.api.reasons import Reason
from penstock.api.router import Router, RouterStatus
from penstock.reconcile.drift import first_difference, stamped
from penstock.reconcile.effects import Apply, Create, Delete, Effect, Queue, Ref, Requeue, Status
from penstock.reconcile.owning import Estate, Standing, identified
from penstock.reconcile.ports import ports_of
from penstock.reconcile.router_status import needs_writing, router_status
from penstock.reconcile.table import Entry, entries_in, entry_of, table_text
from penstock.render.disruption_budget import router_disruption_budget
from penstock.render.metadata import Owner
from penstock.render.network_policy import router_network_policy
from penstock.render.router_access import router_role_binding, router_service_account
from penstock.render.router_deployment import router_deployment
from penstock.render.router_object import router_object
from penstock.render.router_service import router_service
from penstock.render.router_table import router_table
from penstock.rollout.trouble import ready
from penstock.world import Manifest, RouterWorld

SOON = timedelta(seconds=1)


def router_names_of(namespace: str, router: str) -> tuple[Ref, ...]:
    """Objects that must be read by their exact names, whatever their labels, so that a taken name is seen."""
    name = router_name(router)
    return tuple(
        Ref(api_version, kind, namespace, name)
        for api_version, kind in (
            ("v1", "ConfigMap"),
            ("v1", "ServiceAccount"),
            ("rbac.authorization.k8s.io/v1", "RoleBinding"),
            ("v1", "Service"),
            ("networking.k8s.io/v1", "NetworkPolicy"),
            ("policy/v1", "PodDisruptionBudget"),
            ("apps/v1", "Deployment"),
        )
    )


def reconcile_router(world: RouterWorld) -> Iterator[Effect]:
    """The effects of one pass, in order."""
    router = world.router
    if router is not None and router.metadata.deletion_timestamp is not None:
        if world.models:
            yield Requeue(Queue.ROUTER, world.namespace, world.name, SOON)
        return
    if not world.models and not world.unreadable:
        yield from _removed(world)
        if router is not None and router.metadata.labels.get(LABEL_MANAGED_BY) != MANAGED_BY:
            estate = Estate.of(_owner(router), world.objects)
            yield from _published(world, router, router_status(world, router, estate, 0, ()))
        return
    if world.namespace_terminating:
        return
    if router is None:
        if world.obstacle is None:
            yield Create(router_object(world.namespace, world.name))
            yield Requeue(Queue.ROUTER, world.namespace, world.name, SOON)
        return
    estate = Estate.of(_owner(router), world.objects)
    before = entries_in(estate.find("ConfigMap", router_name(world.name)))
    entries, without_port = entries_of(world, before)
    if world.obstacle is None:
        yield from _settled(world, router, estate, entries, before)
    yield from _published(world, router, router_status(world, router, estate, len(entries), without_port))
    yield from _woken(world)


def entries_of(world: RouterWorld, before: Mapping[str, Entry]) -> tuple[Mapping[str, Entry], tuple[str, ...]]:
    """The entry of each model by name, and the models that no port is left for.

    A model that cannot be read keeps the entry that the table has.
    """
    entries = {name: before[name] for name in world.unreadable if name in before}
    ports = ports_of(world.models, before, frozenset(entry.port for entry in entries.values()))
    names = [model.deployment.metadata.name for model in world.models]
    for name, model in zip(names, world.models, strict=True):
        entry = entry_of(model, ports[name]) if name in ports else None
        if entry is not None:
            entries[name] = entry
    return entries, tuple(sorted(name for name in names if name not in ports))


def _published(world: RouterWorld, router: Router, status: RouterStatus) -> Iterator[Effect]:
    if needs_writing(world, router.status, status):
        metadata = router.metadata
        ref = Ref(API_VERSION, router.kind, metadata.namespace, metadata.name)
        yield Status(ref, metadata.uid, metadata.resource_version, status, 0)


def _woken(world: RouterWorld) -> Iterator[Effect]:
    """Call the deployments whose status says of the router what is no longer so."""
    serving = ready(world.pods) > 0
    stalled = world.router is not None and any(
        it.type is ConditionType.STALLED for it in world.router.status.conditions
    )
    for model in world.models:
        told = next((it for it in model.deployment.status.conditions if it.type == ConditionType.AVAILABLE), None)
        if told is None:
            continue
        without = told.status is not ConditionStatus.TRUE and told.reason is Reason.ROUTER_NOT_READY
        if (without and (serving or stalled)) or (told.status is ConditionStatus.TRUE and not serving):
            yield Requeue(Queue.DEPLOYMENT, world.namespace, model.deployment.metadata.name, timedelta(0))


def _owner(router: Router) -> Owner:
    metadata = router.metadata
    return Owner(API_VERSION, router.kind, metadata.namespace, metadata.name, metadata.uid)


def _settled(
    world: RouterWorld,
    router: Router,
    estate: Estate,
    entries: Mapping[str, Entry],
    before: Mapping[str, Entry],
) -> Iterator[Effect]:
    owner, name = estate.owner, router_name(world.name)
    yield from _table(estate, router_table(owner, name, table_text(entries.values())))
    for model, entry in sorted(entries.items()):
        if model not in before or (before[model].uid, before[model].epoch) != (entry.uid, entry.epoch):
            yield Requeue(Queue.DEPLOYMENT, world.namespace, model, timedelta(0))
    for manifest in (
        router_service_account(owner, name),
        router_role_binding(owner, name),
        router_service(owner, name),
        router_network_policy(owner, name, world.defaults.operator_namespace),
        router_disruption_budget(owner, name),
        router_deployment(owner, name, router.spec, world.defaults),
    ):
        yield from estate.settle(manifest)


def _table(estate: Estate, manifest: Manifest) -> Iterator[Effect]:
    """The table is only ever replaced in the version that was read, so that an older view cannot undo a newer one."""
    wanted = stamped(manifest)
    name = wanted["metadata"]["name"]
    live = estate.find("ConfigMap", name)
    if live is None:
        yield Create(wanted)
    elif estate.standing("ConfigMap", name) is Standing.OURS:
        difference = first_difference(wanted, live.manifest)
        if difference is not None:
            yield Apply(identified(wanted, live.uid, live.resource_version), difference)


def _removed(world: RouterWorld) -> Iterator[Effect]:
    """Without models the router goes. One that a person wrote stays, without pods."""
    router = world.router
    if router is None:
        return
    metadata = router.metadata
    if metadata.labels.get(LABEL_MANAGED_BY) == MANAGED_BY:
        ref = Ref(API_VERSION, router.kind, metadata.namespace, metadata.name)
        yield Delete(ref, metadata.uid, "the namespace has no model left")
        return
    estate = Estate.of(_owner(router), world.objects)
    for ref in router_names_of(world.namespace, world.name):
        yield from estate.remove(ref.kind, ref.name, "the namespace has no model left")
