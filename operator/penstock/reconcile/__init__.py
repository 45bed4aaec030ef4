"""The core: a snapshot in, effects out. Pure.

`deployment.reconcile(world: World) -> Iterator[Effect]` for a ModelDeployment, `unusable.reconcile_unusable(unusable:
Unusable) -> Iterator[Effect]` for one that cannot be read, `router.reconcile_router(world: RouterWorld) ->
Iterator[Effect]` for the router of a namespace. `observing` turns the API server's documents into parts of a snapshot.
"""
