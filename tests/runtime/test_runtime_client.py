"""The client against a server that answers as an API server does on a bad day. The good days are tested on a real one."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from kubernetes.aio import client as kubernetes_client
from penstock.cluster.client import Api
from penstock.cluster.errors import Conflict, Refused, Retry, Wait
from penstock.cluster.kinds import POD, SERVICE
from penstock.reconcile.effects import ref_of
from penstock.router.http import Request, Response, serve

STATUS = {"apiVersion": "v1", "kind": "Status"}


class Answers:
    """Counts answers by verb and status."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str, int]] = Counter()

    def answered(self, verb: str, kind: str, status: int) -> None:
        self.counts[verb, kind, status] += 1


@asynccontextmanager
async def talking_to(handler: Callable[[Request], Awaitable[Response]]):
    server = await serve(handler, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    answers = Answers()
    api = Api(kubernetes_client.Configuration(host=f"http://127.0.0.1:{port}"), answers)
    try:
        yield api, answers
    finally:
        await api.close()
        server.close()


def always(status: int, body: object, **headers: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(_: Request) -> Response:
        text = body if isinstance(body, str) else json.dumps(body)
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        return Response(status, text, "application/json", told)

    return answer


@pytest.mark.parametrize(
    ("answer", "raised"),
    [
        (always(500, STATUS), Retry),
        (always(503, "upstream connect error"), Retry),
        (always(200, "no JSON"), Retry),
        (always(200, "[]"), Retry),
        (always(401, STATUS), Retry),
        (always(429, STATUS, Retry_After="2"), Wait),
        (always(403, STATUS | {"message": "no"}), Refused),
    ],
)
def test_every_bad_answer_is_one_of_the_few_errors(answer, raised: type[Exception]) -> None:
    async def run() -> None:
        async with talking_to(answer) as (api, _):
            with pytest.raises(raised, match=r"Pod|no"):
                await api.get(POD, "risk", "one")

    asyncio.run(run())


def test_an_object_that_is_not_there_is_none_and_a_write_to_it_a_conflict() -> None:
    manifest = {"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "risk", "name": "fraud", "uid": "u"}}

    async def run() -> None:
        async with talking_to(always(404, STATUS)) as (api, answers):
            assert await api.get(SERVICE, "risk", "fraud") is None
            for write in (api.apply, api.post):
                with pytest.raises(Conflict):
                    await write(SERVICE, manifest)
            with pytest.raises(Conflict):
                await api.replace_status(SERVICE, ref_of(manifest), "u", "7", {})
            with pytest.raises(Conflict):
                await api.delete(SERVICE, "risk", "fraud", "u")
            assert set(answers.counts) == {
                (verb, "Service", 404) for verb in ("GET", "APPLY", "STATUS", "POST", "DELETE")
            }

    asyncio.run(run())


def test_a_server_that_is_gone_is_tried_again() -> None:
    async def run() -> None:
        answers = Answers()
        api = Api(kubernetes_client.Configuration(host="http://127.0.0.1:1"), answers)
        with pytest.raises(Retry, match="no answer from the API server"):
            await api.get(POD, "risk", "one")
        assert answers.counts == {("GET", "Pod", 0): 1}
        await api.close()

    asyncio.run(run())


def test_a_long_list_is_read_to_its_end_and_its_items_say_what_they_are() -> None:
    pages = {"": ("a", "next"), "next": ("b", "")}

    async def answer(request: Request) -> Response:
        assert (request.path, request.query["labelSelector"]) == ("/api/v1/namespaces/risk/pods", "x=y")
        name, token = pages[request.query.get("continue", "")]
        page = {"items": [{"metadata": {"name": name}}], "metadata": {"continue": token}}
        return Response(200, json.dumps(page), "application/json")

    async def run() -> None:
        async with talking_to(answer) as (api, _):
            found = await api.listing(POD, "risk", "x=y")
            assert [(item["kind"], item["apiVersion"], item["metadata"]["name"]) for item in found] == [
                ("Pod", "v1", "a"),
                ("Pod", "v1", "b"),
            ]

    asyncio.run(run())
