"""The core: a snapshot in, effects out. Pure.

`deployment.reconcile(world: World) -> Iterator[Effect]` for a ModelDeployment, `unusable.reconcile_unusable(unusable:
Unusable) -> Iterator[Effect]` for one that cannot be read, `router.reconcile_router(world: RouterWorld) ->
Iterator[Effect]` for the router of a namespace. `snapshot`, `observing` and `routing_view` turn what was read into a
snapshot.
"""
