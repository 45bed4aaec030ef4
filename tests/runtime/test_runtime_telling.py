"""What the operator tells: Events, live evidence, metrics, health."""

import asyncio
import json
from datetime import UTC, datetime

import aiohttp
from aiohttp import web
from penstock.cluster.carrying import event_manifest, summary
from penstock.evidence.agents import Agents, Page
from penstock.evidence.following import ReleaseName
from penstock.evidence.puller import Puller
from penstock.judge.criteria import Criteria
from penstock.reconcile.effects import Delete, Event, EventType, Queue, Ref
from penstock.runtime.hearing import Hearing
from penstock.runtime.keys import Key
from penstock.runtime.live import live_evidence, samples
from penstock.runtime.metrics import Metrics
from penstock.runtime.queue import WorkQueue
from penstock.runtime.server import application
from penstock.world import Pod

STARTED = datetime(2026, 11, 24, 6, 0, 0, tzinfo=UTC)
START = STARTED.timestamp()
ABOUT = Ref("penstock.dev/v1alpha1", "ModelDeployment", "risk", "fraud")


def test_an_event_has_the_form_of_its_api() -> None:
    event = Event("fraud.1", ABOUT, "u1", EventType.WARNING, "Worse", "RolledBack", "It fails.")
    made = event_manifest(event, "penstock-operator-0", datetime(2026, 11, 24, 6, 0, 0, 250, tzinfo=UTC))
    assert made["metadata"] == {"name": "fraud.1", "namespace": "risk"}
    assert made["eventTime"] == "2026-11-24T06:00:00.000250Z"
    assert made["regarding"] == {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "ModelDeployment",
        "namespace": "risk",
        "name": "fraud",
        "uid": "u1",
    }
    assert (made["type"], made["reason"], made["action"]) == ("Warning", "Worse", "RolledBack")
    assert summary(event) == "told of ModelDeployment risk/fraud: Worse: It fails."
    assert summary(Delete(ABOUT, "u1", "it is over")) == "deleted ModelDeployment risk/fraud: it is over"


def followed(puller: Puller) -> None:
    """A release with a bad answer."""
    puller.follow(("risk", "fraud"), ReleaseName("fraud", "fraud-2", STARTED, "mark"), Criteria(), {}, "")
    following = puller.followed["risk", "fraud"]
    following.attend(("router-a",), START)
    rows = [
        {"t": START + second, "router": "a/b", "release": "mark", "version": 4, "weight": 10, "arm": arm, **counts}
        for second in range(1, 10)
        for arm, counts in (("candidate", {"requests": 3, "failed": int(second == 1)}), ("stable", {"requests": 27}))
    ]
    following.take("router-a", Page(tuple(rows), "j-9", START + 12.0, gap=False), START + 12.0)
    following.advance(START + 12.0, 1_000)


def test_live_evidence_has_the_form_of_the_status_and_json_carries_it() -> None:
    async def run() -> None:
        agents = Agents(1)
        puller = Puller(agents, lambda: START + 12.0)
        followed(puller)
        told = json.loads(json.dumps(live_evidence(puller.followed["risk", "fraud"], START + 12.0)))
        assert (told["deployment"], told["revision"], told["epoch"], told["weight"]) == ("fraud", "fraud-2", 4, 10.0)
        assert told["asOf"] == "2026-11-24T06:00:12.000Z"
        assert told["requests"] == {"stable": 243, "candidate": 27}
        assert told["requestsAtEpoch"] == 27
        assert told["unreachable"] == []
        assert [row["name"] for row in told["evidence"]] == ["failed", "refused"]
        assert set(told["evidence"][0]) >= {"logEvalue", "threshold", "logEvaluePromotion", "thresholdPromotion"}
        await agents.close()

    asyncio.run(run())


def test_metrics_tell_evidence_beside_its_line_and_forget_what_is_over() -> None:
    async def run() -> None:
        agents, queue, hearing = Agents(1), WorkQueue(lambda: 5.0), Hearing()
        puller = Puller(agents, lambda: START + 12.0)
        metrics = Metrics(lambda: samples(puller, queue, hearing, 5.0))
        followed(puller)
        key = Key(Queue.DEPLOYMENT, "risk", "fraud")
        queue.add(key)
        hearing.read("Pod", "7", 2.0)
        metrics.answered("GET", "Pod", 200)
        metrics.passed(key, "Done", 0.25)
        metrics.decided("Hold", "SignsOfHarm")
        text = metrics.exposition().decode()
        who = 'deployment="fraud",namespace="risk",revision="fraud-2"'
        assert f"penstock_release_threshold{{{who}}} 4.605" in text
        assert f"penstock_release_log_evalue{{{who}}}" in text
        assert 'penstock_guardrail_threshold{deployment="fraud",guardrail="failed",namespace="risk"' in text
        assert 'penstock_release_requests{arm="candidate",' in text
        assert 'penstock_api_requests_total{kind="Pod",status="200",verb="GET"} 1.0' in text
        assert 'penstock_passes_total{kind="ModelDeployment",outcome="Done"} 1.0' in text
        assert 'penstock_pass_milliseconds_total{kind="ModelDeployment"} 250.0' in text
        assert 'penstock_decisions_total{decision="Hold",reason="SignsOfHarm"} 1.0' in text
        assert "penstock_queue_depth 1.0" in text
        assert 'penstock_watch_deaf_seconds{kind="Pod"} 3.0' in text
        puller.leave(("risk", "fraud"))
        assert "penstock_release" not in metrics.exposition().decode()
        await agents.close()

    asyncio.run(run())


def test_health_says_what_is_wrong_and_unknown_releases_are_not_found() -> None:
    troubles: list[str] = []

    async def run() -> None:
        app = application(lambda: troubles, lambda: ["not yet"], lambda: b"x 1\n", lambda *_: None)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert runner.addresses
        base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession() as session:

            async def get(path: str) -> tuple[int, str]:
                async with session.get(base + path) as answer:
                    return answer.status, await answer.text()

            assert await get("/healthz") == (200, "ok\n")
            troubles.append("the watch of Pod has told nothing for 61 s")
            assert await get("/healthz") == (503, "the watch of Pod has told nothing for 61 s\n")
            assert await get("/readyz") == (503, "not yet\n")
            assert await get("/metrics") == (200, "x 1\n")
            assert (await get("/evidence/risk/fraud"))[0] == 404
        await runner.cleanup()

    asyncio.run(run())


def test_a_router_pod_without_an_address_is_not_asked() -> None:
    async def run() -> None:
        agents = Agents(1)
        puller = Puller(agents, lambda: START)
        puller.routers("risk", [Pod("a", "a", "", "", "Pending", False, False, STARTED, "", "", "")])
        assert await puller.reports("risk") == ()
        assert await puller.reports("elsewhere") == ()
        await agents.close()

    asyncio.run(run())
