"""What outside of a release forbids that it begins or goes on. Rollback and repair go on all the same."""

from penstock.api.reasons import Reason
from penstock.reconcile.book import Book
from penstock.reconcile.children import fixed_names, revision_names
from penstock.reconcile.owning import Estate, leaving, taken
from penstock.reconcile.wanted import Wanted
from penstock.render.templates import CURRENT, TEMPLATES
from penstock.rollout.trouble import Cure, Trouble
from penstock.world import World


def obstacle_of(world: World, estate: Estate, wanted: Wanted | Trouble) -> Trouble | None:
    """The first thing that forbids progress."""
    if isinstance(wanted, Trouble):
        return wanted
    deployment = world.deployment
    names = (*fixed_names(deployment), *revision_names(deployment, wanted.name))
    foreign = taken(estate, names)
    if foreign is not None:
        return Trouble(
            Reason.NAME_TAKEN,
            f"There is a {foreign.kind} {foreign.name} that does not belong to this ModelDeployment, so nothing is "
            f"made in its place: rename this ModelDeployment, or remove that {foreign.kind}.",
            Cure.PERSON,
        )
    going = leaving(estate, names)
    if going is not None:
        return Trouble(Reason.NAME_TAKEN, f"The {going.kind} {going.name} of before is still being removed.", Cure.TIME)
    return _from_the_future(Book.of(world.revisions))


def _from_the_future(book: Book) -> Trouble | None:
    unknown = sorted(r.metadata.name for r in book.revisions.values() if r.spec.template_version not in TEMPLATES)
    if not unknown:
        return None
    return Trouble(
        Reason.MISCONFIGURED,
        f"{unknown[0]} was made by a newer operator (this one knows templates up to {CURRENT}): its pods are left as "
        "they are. Run that operator again, or a newer one.",
        Cure.PERSON,
    )
