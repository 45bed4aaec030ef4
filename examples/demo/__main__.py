"""The demo: six versions of a real model are released on a real Kubernetes, and the bad ones take themselves back.

`python examples/demo` leaves the cluster up; its last line is one JSON object with what became of each version.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import cluster
import objects
import observation
from cluster import Window
from training import Trained, Version, train
from view import View, opened

PATIENCE_SECONDS = 240.0
LOOK_EVERY_SECONDS = 1.0
INTERRUPTED = 130
SETTLE_SECONDS = 2.0
"""The routers' ledgers and the caller's log are written a quarter of a second after the fact."""

EXPECTED = {"v2": "promoted", "v3": "rolledBack", "v4": "rolledBack", "v5": "rolledBack", "v6": "stalled"}
VERDICTS = {"Promoted": "promoted", "RolledBack": "rolledBack"}
UNHARMED = ("v2", "v3", "v4", "v5", "v6")

Outcome = dict[str, object]


class UndecidedError(RuntimeError):
    """A release took longer than it may."""


def main() -> int:
    """Run the demo; 0 when every version met the fate that it deserves and no caller felt it."""
    began = time.monotonic()
    cluster.prepare()
    with tempfile.TemporaryDirectory() as folder:
        trained = train(Path(folder))
    cluster.apply(*objects.setting(trained))
    _rolled_out("store")
    first, *others = trained.versions
    with cluster.window() as window, opened() as view:
        _serve(first, trained, view)
        outcomes = {version.name: _release(version, window, view) for version in others}
        _last_words(view, time.monotonic() - began)
    print(json.dumps(outcomes), flush=True)
    right = all(outcomes[name]["verdict"] == verdict for name, verdict in EXPECTED.items())
    unharmed = all(outcomes[name]["callerFailures"] == 0 for name in UNHARMED)
    return int(not (right and unharmed))


def _serve(version: Version, trained: Trained, view: View) -> None:
    view.title(f"{version.name}: {version.story}. The first version gets all traffic when it is ready.")
    _forget()
    cluster.apply(objects.model_deployment(version))
    cluster.kubectl("wait", "--for=condition=Ready", f"mdep/{objects.MODEL}", "-n", objects.NAMESPACE, "--timeout=240s")
    cluster.apply(objects.callers(trained))
    _rolled_out("caller")
    view.say(f"It serves; callers send {objects.RATE} rows a second to http://{objects.MODEL}.{objects.NAMESPACE}.svc")


def _rolled_out(name: str) -> None:
    cluster.kubectl("rollout", "status", f"deployment/{name}", "-n", objects.NAMESPACE, "--timeout=120s")


def _forget() -> None:
    """What an earlier run left: a revision that was rejected stays rejected while its deployment is there."""
    everything = ("-n", objects.NAMESPACE)
    cluster.kubectl("delete", "modeldeployment", objects.MODEL, *everything, "--ignore-not-found", "--wait")
    cluster.kubectl("wait", "--for=delete", "modelrevisions", "--all", *everything, "--timeout=120s")


def _release(version: Version, window: Window, view: View) -> Outcome:
    """Apply a version and watch until it is decided."""
    view.title(f"{version.name}: {version.story}.")
    start, before = time.time(), observation.look(window).history
    felt = observation.Felt(start)
    cluster.apply(objects.model_deployment(version))
    candidate = ""
    while True:
        sight = observation.look(window)
        candidate = sight.candidate or candidate
        felt.read(window)
        view.show(sight, felt)
        if sight.generation_seen and (verdict := _verdict(sight, before)):
            break
        if time.time() - start > PATIENCE_SECONDS:
            raise UndecidedError(f"{version.name} is undecided after {PATIENCE_SECONDS:.0f} s: {sight.message}")
        time.sleep(LOOK_EVERY_SECONDS)
    time.sleep(SETTLE_SECONDS)
    ledger = observation.Ledger(start)
    ledger.read(window, candidate)
    felt.read(window)
    outcome: Outcome = {
        "verdict": verdict,
        "reason": sight.reason if verdict == "stalled" else sight.history[0][2],
        "seconds": round(time.time() - SETTLE_SECONDS - start, 1) if verdict != "rolledBack" else ledger.seconds,
        "badAnswers": ledger.bad,
        "callerFailures": sum(felt.failures.values()),
    }
    view.say(sight.message)
    view.say(_summary(verdict, outcome))
    return outcome


def _verdict(sight: observation.Sight, before: tuple[tuple[str, str, str], ...]) -> str | None:
    """How the release ended, None while it has not."""
    if sight.history != before and sight.history and sight.history[0][1] in VERDICTS:
        return VERDICTS[sight.history[0][1]]
    return "stalled" if sight.phase == "Refused" else None


def _summary(verdict: str, outcome: Outcome) -> str:
    callers = f"callers felt {outcome['callerFailures']} failures"
    if verdict == "rolledBack":
        return (
            f"{outcome['seconds']} s from its first bad answer to the last request that reached it; "
            f"{outcome['badAnswers']} bad answers; {callers}."
        )
    return f"{verdict} {outcome['seconds']} s after it was applied; {callers}."


def _last_words(view: View, seconds: float) -> None:
    view.title(f"Done in {seconds:.0f} s. The cluster is left as it is; look around:")
    view.say('eval "$(python3 -m localcluster env)"')
    view.say(f"kubectl get modeldeployments,modelrevisions,pods -n {objects.NAMESPACE}")
    view.say(f"kubectl describe modeldeployment {objects.MODEL} -n {objects.NAMESPACE}")
    view.say("make demo-down   # removes everything\n")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (cluster.CommandFailedError, UndecidedError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        print("interrupted; `make demo` begins again, `make demo-down` removes the cluster", file=sys.stderr)
        sys.exit(INTERRUPTED)
