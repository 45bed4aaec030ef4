"""Reasons: why a condition is as it is. The values are API; each says what to do next."""

from enum import StrEnum
from typing import Self


class Reason(StrEnum):
    """A reason of a condition, with `advice`: what it means and the next step."""

    advice: str

    def __new__(cls, value: str, advice: str) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.advice = advice
        return member

    # Under way or done.
    NOT_OBSERVED = "NotObserved", "The operator has not looked yet; if this stays, see whether it runs."
    STARTING = "Starting", "The first revision is being fetched and started; it gets traffic when it is ready."
    RELEASING = "Releasing", "A candidate gets a growing share of traffic; nothing to do."
    PAUSE_STEP = "PauseStep", "The release waits as its pause step says; nothing to do."
    PAUSED = "Paused", "spec.paused stops progress; set it to false to go on."
    STABLE = "Stable", "The wanted revision serves; nothing to do."
    WATCHING = "Watching", "The promoted revision is under watch until watchFor has passed; nothing to do."
    HARM_EXCLUDED = "HarmExcluded", "The evidence excludes harm beyond tolerance, so the candidate was promoted."
    PROMOTED = "Promoted", "The revision was promoted without a verdict: the first one, Immediate, or by a person."
    SUPERSEDED = "Superseded", "A newer revision is wanted; this candidate was not judged to the end."
    RETURNED = "Returned", "The spec names the stable revision again, so the release ended."
    # Holds by the judge: no verdict yet, and why.
    COLLECTING = "Collecting", "More requests are needed for a verdict; wait, or raise tolerate."
    SIGNS_OF_HARM = "SignsOfHarm", "The counts lean towards harm without being decisive; the weight stays."
    NO_EVIDENCE = "NoEvidence", "Nothing has been counted yet; see whether traffic arrives."
    NO_CANDIDATE_TRAFFIC = "NoCandidateTraffic", "The candidate had no requests; raise its weight or wait for traffic."
    NO_STABLE_TRAFFIC = "NoStableTraffic", "Stable had no requests to compare with; leave it a share of the traffic."
    MISSING_COUNT = "MissingCount", "Nothing counts what a guardrail asks for; remove the guardrail or see the routers."
    DOUBTFUL_COUNTERS = "DoubtfulCounters", "The counts contradict each other; see the routers' logs."
    STALE_EVIDENCE = "StaleEvidence", "The last counts are too old; see whether the routers run."
    FEW_USERS = "FewUsers", "Too few users for sticky assignment; leave stickiness out, or wait for more users."
    NO_USER_COUNTS = "NoUserCounts", "The release is sticky but users are not counted; see the routers."
    ONE_OUTAGE = (
        "OneOutage",
        "All failures come from one outage of one pod, which alone takes nothing back; see the pod.",
    )
    # Holds by what else is observed.
    EVIDENCE_UNREACHABLE = "EvidenceUnreachable", "The routers cannot be asked; see their pods and network policies."
    BOTH_WORSE = "BothWorse", "Both sides do worse than before the release; look for a cause outside the model."
    SATURATED = "Saturated", "Pods refuse for want of capacity; add replicas or lower the load."
    NO_HEADROOM = "NoHeadroom", "Stable could not take the candidate's share back; add replicas."
    WEIGHT_UNCONFIRMED = "WeightUnconfirmed", "A router has not confirmed the weight; see the Router's conditions."
    CANDIDATE_NOT_READY = "CandidateNotReady", "Candidate pods are still starting; see their events if this stays."
    STABLE_NOT_READY = "StableNotReady", "No stable pod is ready; see its pods and nodes."
    UNSCHEDULABLE = "Unschedulable", "No node has room for a pod; add nodes, or lower resources or placement."
    QUOTA_EXCEEDED = "QuotaExceeded", "A quota of the namespace forbids the pods; raise it or lower replicas."
    NODE_TROUBLE = "NodeTrouble", "A node is failing or evicts pods; mend the node."
    REGISTRY_UNREACHABLE = "RegistryUnreachable", "An image cannot be pulled just now; see the registry."
    # Taken back.
    WORSE = "Worse", "The candidate is worse beyond tolerance; see status.evidence, mend the model, release anew."
    CRASH = "Crash", "The candidate's own process kept exiting; see its pods' last logs, mend the model, release anew."
    ABORTED = "Aborted", "A person ended the release; change the spec, or annotate penstock.dev/retry."
    REJECTED_BEFORE = "RejectedBefore", "This revision was taken back before; annotate penstock.dev/retry to try again."
    # Stalled: nothing happens without a person.
    DEADLINE_EXCEEDED = "DeadlineExceeded", "No verdict in time; promote or abort, or raise tolerate or the deadline."
    NEVER_READY = "NeverReady", "No candidate pod became ready; see the pods' events and logs, and change the spec."
    NAME_TAKEN = "NameTaken", "An object of that name is not ours; rename this deployment or remove that object."
    INVALID_SPEC = "InvalidSpec", "The spec cannot be used; the message names the fields to change."
    IMAGE_MISSING = "ImageMissing", "The image does not exist or may not be pulled; correct spec.runtime.image."
    OUT_OF_MEMORY = "OutOfMemory", "Loading exceeds the memory limit; raise spec.runtime.resources.limits.memory."
    FORBIDDEN = "Forbidden", "The operator may not do this here; grant it the permission that the message names."
    NAMESPACE_TERMINATING = "NamespaceTerminating", "The namespace is being deleted; nothing can be made in it."
    # What a pod says when it cannot fetch, load or try the model.
    MISCONFIGURED = "Misconfigured", "The pod lacks what it needs to run; the message names it."
    MODEL_UNREACHABLE = "ModelUnreachable", "spec.model.uri cannot be read just now; see the address and the network."
    MODEL_NOT_FOUND = "ModelNotFound", "There is nothing at spec.model.uri; correct it."
    MODEL_FORBIDDEN = (
        "ModelForbidden",
        "spec.model.uri may not be read, see spec.model.access; or it holds types that spec.runtime.trust does not name.",
    )
    DIGEST_MISMATCH = "DigestMismatch", "The content is not what spec.model.digest says; correct one of the two."
    SIGNATURE_REFUSED = (
        "SignatureRefused",
        "The model is not signed as spec.model.signedBy asks; the message says how not. Sign it, or correct the field.",
    )
    MODEL_TOO_LARGE = "ModelTooLarge", "The model exceeds what may be fetched; serve a smaller one or raise the limit."
    ARCHIVE_REFUSED = "ArchiveRefused", "The archive holds paths or links that could escape; pack the model anew."
    NOT_A_MODEL = "NotAModel", "The content holds no model that the server can load; see spec.model.uri."
    DIGEST_NOT_PINNED = "DigestNotPinned", "This format can run code; set spec.model.digest (penstock digest DIR)."
    SCIKIT_LEARN_MISMATCH = (
        "ScikitLearnMismatch",
        "The model needs another scikit-learn; choose a fitting runtime.image, or take the risk by spec.runtime.trust.",
    )
    SELF_TEST_FAILED = "SelfTestFailed", "The model does not load or fails its trial inference; see the pod's log."
    NO_SPACE = "NoSpace", "The volume for models is full; raise spec.runtime.resources."
    # Routers, and the way to them.
    SERVICE_NOT_READY = "ServiceNotReady", "The Service that callers use is not as it must be; it is being made so."
    ROUTING = "Routing", "All router pods serve the wanted configuration; nothing to do."
    ROUTER_NOT_READY = "RouterNotReady", "A router pod is not ready; see its events."
    MODEL_NOT_RENDERED = "ModelNotRendered", "One model keeps its last good routes; the message names it and why."
    UPDATE_REJECTED = "UpdateRejected", "Envoy refused a configuration and keeps the one before; see the message."
    PORTS_EXHAUSTED = "PortsExhausted", "No router port is left in the namespace; move models to another namespace."
