"""What tests on a real node rely on: pods, Services, DNS, logs, exec, probes, enforced pod security."""

import json
import socket
from pathlib import Path

import pytest

from localcluster import images
from localcluster.building import Request, build
from localcluster.images import import_archive
from localcluster.places import State, cache_root
from localcluster.processes import run, tied
from localcluster.progress import Progress

pytestmark = [pytest.mark.node, pytest.mark.xdist_group("node"), pytest.mark.timeout(900)]

IMAGE = "docker.io/penstock/echo:test"
FOLDER = Path(__file__).parent / "image"
NAMESPACE = "echo"


def security():
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container(name, **more):
    return {
        "name": name,
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "securityContext": security(),
        "resources": {"limits": {"memory": "64Mi"}},
        **more,
    }


def pod(name, *containers, sidecars=()):
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": name}},
            "spec": {
                "initContainers": list(sidecars),
                "containers": list(containers),
                "terminationGracePeriodSeconds": 1,
            },
        }
    )


@pytest.fixture(scope="module")
def echo(node, tmp_path_factory):
    """A node with a namespace that enforces `restricted`, and in it a pod and a Service named echo."""
    state = State(node.state)
    request = Request(IMAGE, "echo", FOLDER / "Dockerfile", FOLDER)
    import_archive(build(request, state=state.root, progress=Progress(cache_root() / "durations.json")), state=state)
    node.kubectl("create", "namespace", NAMESPACE)
    node.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    node.kubectl("config", "set-context", "--current", f"--namespace={NAMESPACE}")
    probe = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    node.kubectl("apply", "--filename=-", stdin=pod("echo", container("echo", readinessProbe=probe)))
    node.kubectl("expose", "pod", "echo", "--port=80", "--target-port=8080")
    node.kubectl("wait", "--for=condition=Ready", "pod/echo", "--timeout=60s")
    return node


def test_an_image_is_loaded_again_only_when_the_node_has_lost_it(echo, monkeypatch):
    state = State(echo.state)
    request = Request(IMAGE, "echo", FOLDER / "Dockerfile", FOLDER)
    archive = build(request, state=state.root, progress=Progress(cache_root() / "durations.json"))
    commands = []
    monkeypatch.setattr(images, "run", lambda command, **more: commands.append(command) or run(command, **more))
    import_archive(archive, state=state)
    assert not any("import" in command for command in commands)
    run([*commands[0][: commands[0].index("list")], "remove", "--sync", IMAGE], state=state.root, wrap=tied)
    import_archive(archive, state=state)
    assert any("import" in command for command in commands)
    assert IMAGE in run(commands[0], state=state.root, wrap=tied).split()


def say(address, port, text):
    with socket.create_connection((address, port), timeout=5) as connection:
        connection.sendall(f"{text}\n".encode())
        return connection.makefile().readline().strip()


def test_this_machine_reaches_a_pod_and_a_service(echo):
    pod_address = echo.kubectl("get", "pod/echo", "--output=jsonpath={.status.podIP}")
    service_address = echo.kubectl("get", "service/echo", "--output=jsonpath={.spec.clusterIP}")
    assert say(pod_address, 8080, "by pod") == "echo heard by pod"
    assert say(service_address, 80, "by service") == "echo heard by service"


def test_a_pod_reaches_a_service_by_its_name_even_its_own(echo):
    script = f"exec 3<>/dev/tcp/echo.{NAMESPACE}.svc.cluster.local/80; echo by name >&3; cat <&3"
    assert echo.kubectl("exec", "pod/echo", "--", "bash", "-c", script).strip() == "echo heard by name"


def test_logs_say_what_a_container_printed(echo):
    assert "listening" in echo.kubectl("logs", "pod/echo").splitlines()


def test_a_native_sidecar_is_started_before_and_runs_beside_the_container(echo):
    sidecar = container(
        "sidecar", restartPolicy="Always", startupProbe={"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    )
    script = "exec 3<>/dev/tcp/127.0.0.1/8080; echo hello >&3; cat <&3; sleep 600"
    main = container("main", command=["bash", "-c", script])
    echo.kubectl("apply", "--filename=-", stdin=pod("pair", main, sidecars=[sidecar]))
    echo.kubectl("wait", "--for=condition=Ready", "pod/pair", "--timeout=60s")
    assert "pair heard hello" in echo.kubectl("logs", "pod/pair", "--container=main")


def test_a_container_over_its_memory_limit_is_killed_as_such(echo):
    script = 'my @hoard; push @hoard, "x" x 1048576 while 1'
    greedy = json.loads(pod("greedy", container("greedy", command=["perl", "-e", script])))
    greedy["spec"]["restartPolicy"] = "Never"
    echo.kubectl("apply", "--filename=-", stdin=json.dumps(greedy))
    echo.kubectl("wait", "--for=jsonpath={.status.phase}=Failed", "pod/greedy", "--timeout=60s")
    reason = "{.status.containerStatuses[0].state.terminated.reason}"
    assert echo.kubectl("get", "pod/greedy", f"--output=jsonpath={reason}") == "OOMKilled"


def test_a_pod_below_the_enforced_level_is_refused(echo):
    lax = json.loads(pod("lax", container("lax")))
    del lax["spec"]["containers"][0]["securityContext"]
    refused = echo.run_kubectl("apply", "--filename=-", stdin=json.dumps(lax))
    assert refused.returncode != 0
    assert 'violates PodSecurity "restricted' in refused.stderr


def test_names_outside_the_cluster_do_not_resolve_to_something_inside(echo):
    found = echo.run_kubectl("exec", "pod/echo", "--", "getent", "hosts", "nowhere.invalid")
    assert found.returncode != 0
