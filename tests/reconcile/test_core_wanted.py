"""Which revision a spec asks for: what makes another one, and what does not."""

from dataclasses import replace
from typing import Any

import pytest
from core_bench.operator import DEFAULTS
from core_bench.scenes import digest, manifest
from penstock.api.changes import CHANGES, Change
from penstock.api.modeldeployment import ModelDeploymentSpec
from penstock.api.modelrevision import Terms
from penstock.api.rollout import Rollout
from penstock.judge.criteria import Criteria
from penstock.reconcile.criteria import criteria_of
from penstock.reconcile.terms import rollout_under, terms_of
from penstock.reconcile.wanted import Wanted, content_hash, wanted_of
from penstock.rollout.trouble import Trouble

BASE = manifest(1)["spec"] | {"rollout": {}}

CHANGED: dict[str, Any] = {
    "model": {"uri": "s3://models/other", "digest": digest(1)},
    "runtime.replicas": 9,
    "runtime.image": "example.org/server:2",
    "runtime.env": [{"name": "A", "value": "b"}],
    "runtime.resources": {"limits": {"memory": "1Gi"}},
    "runtime.trust": {"skopsTypes": ["fraud.features.Ratio"]},
    "runtime.podTemplate": {"nodeSelector": {"pool": "big"}},
    "traffic": {"timeout": "20s"},
    "rollout.strategy": "Immediate",
    "rollout.steps": [{"weight": 10}],
    "rollout.falseRollback": "2%",
    "rollout.missedRegression": "2%",
    "rollout.guardrails": [{"name": "failed", "metric": "failed", "tolerate": {"ratio": "2"}}],
    "rollout.watchFor": "2h",
    "rollout.deadline": "48h",
    "rollout.onDeadline": "Rollback",
    "rollout.readyWhen": "Serving",
    "service": {"port": 8080},
    "paused": True,
}
REFUSED = {"rollout.stickiness", "rollout.holdback"}
"""Fields that this version refuses, so that no spec has them."""
ACCEPTED = [field for field in CHANGES if field not in REFUSED]


def spec(changes: dict[str, Any] | None = None) -> ModelDeploymentSpec:
    document = {name: dict(part) if isinstance(part, dict) else part for name, part in BASE.items()}
    for path, value in (changes or {}).items():
        part, _, field = path.partition(".")
        if field:
            document[part] = {**document.get(part, {}), field: value}
        else:
            document[part] = value
    return ModelDeploymentSpec.model_validate(document, by_alias=True, by_name=False)


def test_every_field_is_tried() -> None:
    assert set(CHANGED) == set(ACCEPTED)


@pytest.mark.parametrize("field", ACCEPTED)
def test_a_change_makes_another_revision_when_the_table_says_so(field: str) -> None:
    another = content_hash(spec({field: CHANGED[field]})) != content_hash(spec())
    assert another == (CHANGES[field] is Change.NEW_REVISION)


@pytest.mark.parametrize("field", [field for field in ACCEPTED if field.startswith("rollout.")])
def test_a_release_under_way_keeps_what_the_table_calls_frozen(field: str) -> None:
    terms = terms_of(spec().rollout)
    under = rollout_under(terms, spec({field: CHANGED[field]}).rollout)
    name = field.partition(".")[2]
    alias = {str(info.alias): key for key, info in Rollout.model_fields.items()}
    kept = getattr(under, alias[name]) == getattr(spec().rollout, alias[name])
    frozen_by_terms = alias[name] in Terms.model_fields
    assert kept == frozen_by_terms
    if CHANGES[field] is Change.FROZEN:
        assert frozen_by_terms


def test_the_criteria_of_a_release_are_those_of_its_start() -> None:
    begun: Criteria = criteria_of(spec().rollout)
    changed = spec({"rollout.falseRollback": "5%", "rollout.guardrails": CHANGED["rollout.guardrails"]}).rollout
    assert criteria_of(rollout_under(terms_of(spec().rollout), changed)) == begun


def test_the_hash_is_what_it_was() -> None:
    """Should this fail, an upgrade would release every model anew."""
    assert content_hash(spec()) == "18eeb06bc2a1d7d3b60cbe8713a1f37aa89066067ab8b79c79d53b0fe939cdb2"


def test_other_defaults_are_no_other_revision_but_a_new_one_is_made_with_them() -> None:
    old = wanted_of("fraud", spec(), DEFAULTS)
    new = wanted_of("fraud", spec(), replace(DEFAULTS, serving_image="penstock/serving:2.0"))
    assert isinstance(old, Wanted)
    assert isinstance(new, Wanted)
    assert old.name == new.name
    assert (old.spec.image, new.spec.image) == ("penstock/serving:1.0", "penstock/serving:2.0")


def test_an_image_of_the_users_own_is_kept() -> None:
    found = wanted_of("fraud", spec({"runtime.image": "example.org/server:2"}), DEFAULTS)
    assert isinstance(found, Wanted)
    assert found.spec.image == "example.org/server:2"


def test_without_a_digest_nothing_is_wanted() -> None:
    found = wanted_of("fraud", spec({"model": {"uri": "s3://models/fraud"}}), DEFAULTS)
    assert isinstance(found, Trouble)
    assert "spec.model.digest" in found.message


def test_names_fit_where_they_must() -> None:
    found = wanted_of("f" * 40, spec(), DEFAULTS)
    assert isinstance(found, Wanted)
    assert len(found.name) <= 63 - len("-0123456789")
