"""The definitions on a real API server: every manifest of tests/api/fixtures, defaults, scale, status, columns."""

import copy
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from penstock.api.conditions import Condition, ConditionStatus, ConditionType
from penstock.api.guardrail import Metric
from penstock.api.live import read
from penstock.api.modeldeployment import ModelDeployment
from penstock.api.modelrevision import ModelRevision, Record, Release, Role, Terms
from penstock.api.phases import Phase
from penstock.api.reasons import Reason
from penstock.api.references import Label
from penstock.api.rollout import Rollout
from penstock.api.scalars import Duration
from penstock.api.status import ArmCounts, CandidateStatus, EvidenceRow, ModelDeploymentStatus, StableStatus

pytestmark = [pytest.mark.controlplane, pytest.mark.xdist_group("controlplane")]

ROOT = Path(__file__).parents[2]
FIXTURES = sorted((ROOT / "tests/api/fixtures").glob("*.yaml"))
DEFINITIONS = [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "crds").glob("*.penstock.dev.yaml"))]
PLURALS = {each["spec"]["names"]["kind"]: each["spec"]["names"]["plural"] for each in DEFINITIONS}
NAMESPACE = "crd-rules"
OURS = {"group": "penstock.dev", "version": "v1alpha1", "namespace": NAMESPACE}
EXTENSIONS = {"group": "apiextensions.k8s.io", "version": "v1", "plural": "customresourcedefinitions"}
NOW = datetime(2026, 11, 24, 6, 0, 0, tzinfo=UTC)
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


class ApiServer(Protocol):
    kubeconfig: Path

    def kubectl(self, *arguments: str) -> str: ...


class Timeless(yaml.SafeLoader):
    """YAML as kubectl reads it: a date is a string."""


Timeless.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parts(fixture: Path) -> tuple[Any, Any, Any]:
    head, accepted, refused = (yaml.load(text, Timeless) for text in fixture.read_text().split("---\n"))
    return head, accepted, refused


@pytest.fixture(scope="module")
def objects(apiserver: ApiServer) -> Iterator[client.CustomObjectsApi]:
    with config.new_client_from_config(str(apiserver.kubeconfig)) as connection:
        custom = client.CustomObjectsApi(connection)
        for definition in DEFINITIONS:
            custom.patch_cluster_custom_object(
                **EXTENSIONS,
                name=definition["metadata"]["name"],
                body=definition,
                field_manager="test",
                _content_type="application/apply-patch+yaml",
            )
        for plural in PLURALS.values():
            until_served(custom, plural)
        core = client.CoreV1Api(connection)
        core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=NAMESPACE)))
        yield custom
        core.delete_namespace(NAMESPACE)


def until_served(custom: client.CustomObjectsApi, plural: str) -> None:
    """Return when the API server serves the kind; raise its 404 after ten seconds without."""
    deadline = time.monotonic() + 10
    while True:
        try:
            custom.list_namespaced_custom_object(**OURS, plural=plural)
        except ApiException as missing:
            if missing.status != 404 or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def create(custom: client.CustomObjectsApi, document: Any, **options: str) -> Any:
    kind = {**OURS, "plural": PLURALS[document["kind"]]}
    return custom.create_namespaced_custom_object(**kind, body=document, field_validation="Strict", **options)


@pytest.fixture
def stored(objects: client.CustomObjectsApi, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The object of the manifest in the test's parameter, really stored; gone afterwards."""
    live = create(objects, request.param)
    yield live
    objects.delete_namespaced_custom_object(**OURS, plural=PLURALS[live["kind"]], name=live["metadata"]["name"])


def replace(custom: client.CustomObjectsApi, live: Any, **changed: Any) -> Any:
    kind = {**OURS, "plural": PLURALS[live["kind"]], "name": live["metadata"]["name"]}
    return custom.replace_namespaced_custom_object(**kind, body={**live, **changed}, field_validation="Strict")


def said(refusal: ApiException) -> str:
    message: str = json.loads(refusal.body)["message"]
    return message


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda path: path.stem)
def test_the_accepted_manifest_is_accepted(objects: client.CustomObjectsApi, fixture: Path) -> None:
    _, accepted, _ = parts(fixture)
    create(objects, accepted, dry_run="All")


@pytest.mark.parametrize(
    "fixture", [path for path in FIXTURES if not path.stem.endswith("-immutable")], ids=lambda path: path.stem
)
def test_the_refused_manifest_is_refused_with_field_and_remedy(objects: client.CustomObjectsApi, fixture: Path) -> None:
    head, _, refused = parts(fixture)
    with pytest.raises(ApiException) as refusal:
        create(objects, refused, dry_run="All")
    for text in (*head["says"], *head.get("apiSays", ())):
        assert text in said(refusal.value)


IMMUTABLE = parts(ROOT / "tests/api/fixtures/revision-immutable.yaml")
DEPLOYMENT = parts(ROOT / "tests/api/fixtures/form-duration.yaml")[1]


@pytest.mark.parametrize("stored", [IMMUTABLE[1]], indirect=True)
def test_a_revision_keeps_its_spec_and_changes_its_record(objects: client.CustomObjectsApi, stored: Any) -> None:
    head, _, changed = IMMUTABLE
    with pytest.raises(ApiException) as refusal:
        replace(objects, stored, spec=changed["spec"])
    for text in head["says"]:
        assert text in said(refusal.value)

    terms = Terms(
        false_rollback=Rollout().false_rollback,
        missed_regression=Rollout().missed_regression,
        guardrails=Rollout().guardrails,
    )
    record = Record(
        role=Role.CANDIDATE,
        release=Release(started_at=NOW, epoch=3, step_since=NOW, weight=5, terms=terms, judge="x" * 65_536),
    )
    live = replace(objects, stored, record=record.model_dump(mode="json", exclude_none=True))
    assert read(ModelRevision, live).record == record
    selected = objects.list_namespaced_custom_object(
        **OURS, plural="modelrevisions", field_selector="record.role=Candidate,spec.deployment=fraud"
    )
    assert [item["metadata"]["name"] for item in selected["items"]] == [stored["metadata"]["name"]]


def test_a_decimal_without_quotes_is_refused_by_naming_the_types_to_use(objects: client.CustomObjectsApi) -> None:
    document = copy.deepcopy(DEPLOYMENT)
    guardrail = {"name": "failed", "metric": "failed", "tolerate": {"ratio": 1.5}}
    document["spec"]["rollout"] = {"guardrails": [guardrail]}
    with pytest.raises(ApiException) as refusal:
        create(objects, document, dry_run="All")
    assert "spec.rollout.guardrails[0].tolerate.ratio" in said(refusal.value)
    assert "must be of type integer,string" in said(refusal.value) or "must be an integer or string" in said(
        refusal.value
    )


@pytest.mark.parametrize("stored", [DEPLOYMENT], indirect=True)
def test_an_autoscaler_finds_replicas_and_scales_stable_alone(objects: client.CustomObjectsApi, stored: Any) -> None:
    name = {**OURS, "plural": "modeldeployments", "name": stored["metadata"]["name"]}
    assert stored["spec"]["runtime"] == {"replicas": 2}
    assert objects.get_namespaced_custom_object_scale(**name)["spec"]["replicas"] == 2

    status = ModelDeploymentStatus(replicas=2, selector="penstock.dev/revision=fraud-1").model_dump(mode="json")
    objects.patch_namespaced_custom_object_status(
        **name, body={"status": status}, _content_type="application/merge-patch+json"
    )
    scale = objects.patch_namespaced_custom_object_scale(
        **name, body={"spec": {"replicas": 5}}, _content_type="application/merge-patch+json"
    )
    assert scale["spec"]["replicas"] == 5
    assert scale["status"] == {"replicas": 2, "selector": "penstock.dev/revision=fraud-1"}
    assert read(ModelDeployment, objects.get_namespaced_custom_object(**name)).spec.runtime.replicas == 5


def status_in_mid_release() -> ModelDeploymentStatus:
    counts = ArmCounts(requests=950, events=3)
    return ModelDeploymentStatus(
        observed_generation=1,
        epoch=7,
        phase=Phase.RELEASING,
        conditions=tuple(
            Condition(
                type=kind,
                status=ConditionStatus.UNKNOWN,
                observed_generation=1,
                last_transition_time=NOW,
                reason=Reason.COLLECTING,
                message="word " * 200,
            )
            for kind in ConditionType
        ),
        stable=StableStatus(revision="fraud-1"),
        candidate=CandidateStatus(revision="fraud-2", weight=5, since=NOW),
        evidence=(
            EvidenceRow(
                name=Label("failed"),
                metric=Metric.FAILED,
                stable=counts,
                candidate=counts,
                log_evalue="-0.25",
                threshold="5.3",
                log_evalue_promotion="1.0",
                threshold_promotion="4.6",
            ),
        ),
    )


@pytest.mark.parametrize("stored", [DEPLOYMENT], indirect=True)
def test_a_status_is_taken_as_the_models_write_it_and_shown_in_columns(
    objects: client.CustomObjectsApi, stored: Any
) -> None:
    name = {**OURS, "plural": "modeldeployments", "name": stored["metadata"]["name"]}
    status = status_in_mid_release()
    live = objects.patch_namespaced_custom_object_status(
        **name,
        body={"status": status.model_dump(mode="json", exclude_none=True)},
        _content_type="application/merge-patch+json",
    )
    assert read(ModelDeployment, live).status == status
    assert read(ModelDeployment, live).spec.rollout.watch_for == Duration("1h30m")

    table = objects.list_namespaced_custom_object(**OURS, plural="modeldeployments", _headers={"Accept": TABLE})
    columns = [column["name"] for column in table["columnDefinitions"] if column["priority"] == 0]
    assert columns == ["Name", "Ready", "Reason", "Stable", "Candidate", "Weight", "Age"]
    assert table["rows"][0]["cells"][1:6] == ["Unknown", "Collecting", "fraud-1", "fraud-2", 5]


@pytest.mark.usefixtures("objects")
def test_kubectl_explains_every_level(apiserver: ApiServer) -> None:
    for path, says in (
        ("mdep", "A model that is served, and released by evidence"),
        ("mdep.spec.rollout.guardrails", "A list given here replaces both"),
        ("mdep.spec.rollout.guardrails.tolerate", "harm is beyond both ratio and points"),
        ("mdep.spec.rollout.guardrails.tolerate.points", "Highest tolerated rate above stable's, in percentage points"),
    ):
        assert says in " ".join(apiserver.kubectl("explain", path).split())


def test_the_rules_are_cheap_enough_for_servers_that_know_less(objects: client.CustomObjectsApi) -> None:
    """Before 1.34 an API server takes a value that may be a number to be as long as a whole request."""
    for definition in DEFINITIONS:
        older = yaml.safe_load(yaml.safe_dump(definition).replace("penstock.dev", "older.example"))
        forget_lengths_of_numbers(older)
        objects.create_cluster_custom_object(**EXTENSIONS, body=older, dry_run="All", field_validation="Strict")


def forget_lengths_of_numbers(schema: Any) -> None:
    if isinstance(schema, dict):
        if schema.get("x-kubernetes-int-or-string") is True:
            schema.pop("maxLength")
        for child in schema.values():
            forget_lengths_of_numbers(child)
    if isinstance(schema, list):
        for child in schema:
            forget_lengths_of_numbers(child)
