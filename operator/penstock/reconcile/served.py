"""How revisions are served, by the last words of the containers that fetched their models.

What serves a package is a function of the package and of the image, and `fetch` judges it by the server's own code.
Only a ready pod counts: of one that never served, nobody should say how it is served.
"""

import json
from collections.abc import Iterable, Sequence

from pydantic import ValidationError

from penstock.api.contract import MOST_LAST_WORDS
from penstock.api.served import Backend, Served
from penstock.reconcile.book import Book
from penstock.world import ContainerRole, Pod


def with_served(book: Book, pods: Sequence[Pod]) -> Book:
    """The book with what the pods say of how each revision is served. What can be read outlasts what cannot."""
    for name, revision in book.revisions.items():
        served = served_of(pod for pod in pods if pod.revision == name)
        known = revision.record.served
        if served is None or (served.backend is Backend.UNKNOWN and known is not None):
            continue
        book = book.record(revision, revision.record.model_copy(update={"served": served}))
    return book


def served_of(pods: Iterable[Pod]) -> Served | None:
    """What the newest ready one of a revision's pods says that can be read, else that it cannot be read; None while
    nothing is said, as in pods of an older image."""
    ready = sorted((pod for pod in pods if pod.ready and not pod.deleting), key=lambda pod: (pod.created_at, pod.name))
    said = [read_last_words(text) for pod in reversed(ready) if (text := _last_words(pod))]
    return next((served for served in said if served.backend is not Backend.UNKNOWN), said[0] if said else None)


def _last_words(pod: Pod) -> str:
    """What the init containers of a pod said when they were done."""
    ends = (it.last_exit for it in pod.containers if it.role is ContainerRole.INIT)
    return next((end.message for end in ends if end is not None and end.code == 0 and end.message), "")


def read_last_words(text: str) -> Served:
    """How a model is served, as `fetch` says; unknown, with the reason, when that is nothing that it would say.

    Fields that are unknown here are passed over: a newer image may say more.
    """
    if len(text) > MOST_LAST_WORDS:
        return _unreadable("longer than a kubelet keeps")
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return _unreadable("no JSON")
    if not isinstance(said, dict):
        return _unreadable("no JSON object")
    try:
        return Served.model_validate(said, by_alias=True, by_name=False, extra="ignore")
    except ValidationError as error:
        fields = sorted({_field(details["loc"]) for details in error.errors()})
        return _unreadable(f"wrong in {', '.join(fields)}")


def _field(place: tuple[int | str, ...]) -> str:
    """The outermost field at fault, which is one of ours: what else is in there is not asked for."""
    return str(place[0]) if place else "everything"


def _unreadable(why: str) -> Served:
    return Served(backend=Backend.UNKNOWN, fallback_reason=f"What its fetch container said when it was done is {why}.")
