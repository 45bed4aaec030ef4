"""What the audit log says of the operator and of the routers' agents."""

from story_bench.story import NAMESPACE, OPERATOR_NAMESPACE, Json, Story

MUTATING = {"create", "update", "patch", "delete", "deletecollection"}
OURS = tuple(f"system:serviceaccount:{namespace}:penstock-" for namespace in (OPERATOR_NAMESPACE, NAMESPACE))


def events(story: Story) -> list[Json]:
    """Every answered request of ours so far."""
    return [event for event in story.cluster.audit_events() if event["user"]["username"].startswith(OURS)]


def writes(story: Story) -> list[str]:
    """Every mutating request of ours so far, one line each, leases aside."""
    return [
        _line(event)
        for event in events(story)
        if event["verb"] in MUTATING and event.get("objectRef", {}).get("resource") != "leases"
    ]


def denials(story: Story) -> list[str]:
    """What we had no right to ask for."""
    return [
        _line(event)
        for event in events(story)
        if event.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid"
    ]


def users(story: Story) -> set[str]:
    """Who of ours has asked for anything at all."""
    return {event["user"]["username"] for event in events(story)}


def _line(event: Json) -> str:
    ref = event.get("objectRef", {})
    what = "/".join(filter(None, (ref.get("resource"), ref.get("subresource"), ref.get("name"))))
    user = event["user"]["username"].rpartition(":")[2]
    return f"{event['stageTimestamp']} {user} {event['verb']} {what} {event['responseStatus'].get('code')}"
