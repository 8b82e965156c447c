"""What `deploy/` says against what Roost has: settings, verbs, ports, and what the objects need."""

import configparser
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from importlib.metadata import requires, version
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from cluster.cli.config import reference
from cluster.settings import Settings
from roost.cli import command_line

DEPLOY = Path(__file__).parents[2] / "deploy"
KUBE = sorted((DEPLOY / "kuberay").glob("*.yaml"))
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
VARIABLES = {line.split("`")[1] for line in reference().splitlines() if line.startswith("| `ROOST_")}
IMAGE = f"roost:{version('roost')}"
RAY_PORTS = {6379, 6380, 6381}
METRICS_PORT = Settings.model_validate({}).telemetry.metrics_port

Object = dict[str, Any]


def compose() -> Object:
    found: Object = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return found


def objects(kind: str | None = None) -> list[Object]:
    every = [each for path in KUBE for each in yaml.safe_load_all(path.read_text())]
    return [each for each in every if kind in (None, each["kind"])]


def one(kind: str) -> Object:
    [found] = objects(kind)
    return found


def pods() -> dict[str, Object]:
    """Return the pod templates by what they are."""
    spec = one("RayCluster")["spec"]
    [workers] = spec["workerGroupSpecs"]
    return {"head": spec["headGroupSpec"]["template"], "worker": workers["template"]}


def containers(pod: Object) -> list[Object]:
    return [*pod["spec"]["initContainers"], *pod["spec"]["containers"]]


def unit(path: Path) -> dict[str, list[str]]:
    """Return all values of each key of ``[Service]``."""
    values: dict[str, list[str]] = {}
    for line in path.read_text().split("[Service]")[1].split("[Install]")[0].splitlines():
        if line and not line.startswith("#"):
            key, _, value = line.partition("=")
            values.setdefault(key, []).append(value)
    return values


# --- settings -------------------------------------------------------------------------------------


def environments() -> Iterator[tuple[str, dict[str, str]]]:
    yield "kuberay", one("ConfigMap")["data"]
    yield "compose", compose()["services"]["roost"]["environment"]
    for path in UNITS:
        yield path.name, dict(each.split("=", 1) for each in unit(path)["Environment"])


@pytest.mark.parametrize(
    ("where", "values"), list(environments()), ids=lambda each: each if isinstance(each, str) else ""
)
def test_every_variable_is_a_setting_with_a_value_that_it_takes(
    where: str, values: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    ours = {name: value for name, value in values.items() if name.startswith("ROOST_")}
    assert ours, where
    assert set(ours) <= VARIABLES
    assert all(isinstance(value, str) for value in values.values())
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    Settings.load()


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.*")), ids=lambda path: path.name)
def test_every_variable_that_a_text_names_is_a_setting(path: Path) -> None:
    if path.is_relative_to(DEPLOY / "kafka") or path.suffix not in (".yaml", ".service", ".md"):
        return
    named = set(re.findall(r"\bROOST_[A-Z_]*[A-Z]\b", path.read_text()))
    assert named - VARIABLES - {"ROOST_PORT"} == set()  # that one is named as no setting


def test_a_cluster_has_servers_of_its_own_and_reaches_its_roles() -> None:
    given = one("ConfigMap")["data"]
    settings = (DEPLOY / "kuberay" / "settings.yaml").read_text()
    for server in ("KAFKA", "MONGO", "REDIS"):
        assert f"ROOST_{server}__URL" in given or f"--from-literal=ROOST_{server}__URL=" in settings
    assert (given["ROOST_CLUSTER__ADDRESS"], given["ROOST_CLUSTER__LISTEN"]) == ("auto", "node")
    assert given["ROOST_TELEMETRY__METRICS_PORT"] == str(METRICS_PORT)
    for pod in pods().values():
        [main] = pod["spec"]["containers"]
        mounted = {mount["mountPath"]: mount["name"] for mount in main["volumeMounts"]}
        assert mounted[str(Path(given["ROOST_FCM__CREDENTIALS_FILE"]).parent)] == "fcm"
        assert {"name": "metrics", "containerPort": METRICS_PORT} in main["ports"]
    # Passwords are in a secret, and a map of settings is none.
    assert not [value for value in given.values() if "@" in value]
    assert set(given) & {"ROOST_MONGO__URL", "ROOST_REDIS__URL"} == set()


# --- commands -------------------------------------------------------------------------------------


def commands() -> Iterator[str]:
    """Yield each ``roost VERB ...`` that something in `deploy/` runs."""
    for path in UNITS:
        for key in ("ExecStart", "ExecStartPre", "ExecStartPost", "ExecStop"):
            yield from re.findall(r"(?:/opt/roost/bin/)(roost [^;']+)", " ".join(unit(path).get(key, [])))
    yield shlex.join(compose()["services"]["roost"]["command"])
    for pod in pods().values():
        for each in pod["spec"]["containers"]:
            yield from re.findall(r"until (roost [^;]+);", each["args"][0])
            if "lifecycle" in each:
                yield shlex.join(each["lifecycle"]["preStop"]["exec"]["command"])
    [command] = re.findall(r"^CMD \[(.*)\]$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    yield " ".join(part.strip(' "') for part in command.split(","))


def test_there_are_commands() -> None:
    assert {"roost up", "roost down", "roost doctor"} <= {each.strip() for each in commands()}


@pytest.mark.parametrize("command", sorted(set(commands())))
def test_commands_are_verbs_with_options_that_they_have(command: str) -> None:
    arguments = shlex.split(command)[1:]
    command_line._parser(arguments).parse_args(arguments)


# --- Kubernetes -----------------------------------------------------------------------------------


def test_objects_are_named_and_in_the_namespace() -> None:
    namespace = one("Namespace")["metadata"]["name"]
    for each in objects():
        assert each["apiVersion"]
        assert each["metadata"]["name"]
        assert each["kind"] == "Namespace" or each["metadata"]["namespace"] == namespace
    kinds = {each["kind"]: each["apiVersion"] for each in objects()}
    assert kinds == {
        "Namespace": "v1",
        "ConfigMap": "v1",
        "RayCluster": "ray.io/v1",
        "Service": "v1",
        "PodDisruptionBudget": "policy/v1",
        "NetworkPolicy": "networking.k8s.io/v1",
    }


def test_the_ray_cluster_is_of_our_version_and_asks_for_a_token() -> None:
    cluster = one("RayCluster")
    spec = cluster["spec"]
    assert spec["rayVersion"] == version("ray")
    [wanted] = [each for each in map(Requirement, requires("roost") or []) if each.name == "ray"]
    assert spec["rayVersion"] in wanted.specifier
    assert spec["authOptions"] == {"mode": "token"}
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    assert all(isinstance(value, str) for group in groups for value in group["rayStartParams"].values())
    assert cluster["metadata"]["annotations"]["ray.io/overwrite-container-cmd"] == "true"
    for pod in pods().values():
        assert "$KUBERAY_GEN_RAY_START_CMD" in pod["spec"]["containers"][0]["args"][0]


@pytest.mark.parametrize("kind", ["head", "worker"])
def test_pods_are_confined_and_have_what_a_node_needs(kind: str) -> None:
    spec = pods()[kind]["spec"]
    assert spec["enableServiceLinks"] is False
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["terminationGracePeriodSeconds"] >= 180
    for each in containers(pods()[kind]):
        assert each["image"] == IMAGE
        assert each["resources"]["limits"]["memory"]
        assert each["resources"]["requests"]["memory"]
        assert each["securityContext"]["allowPrivilegeEscalation"] is False
        assert each["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert {mount["name"] for mount in each["volumeMounts"]} <= {each["name"] for each in spec["volumes"]}
    [main] = spec["containers"]
    assert {probe for probe in main if probe.endswith("Probe")} >= {"readinessProbe", "livenessProbe"}
    names = {port["name"] for port in main["ports"]}
    for probe in ("readinessProbe", "livenessProbe"):
        [asked] = [main[probe][way]["port"] for way in ("httpGet", "tcpSocket") if way in main[probe]]
        assert asked in names


@pytest.mark.parametrize("kind", ["head", "worker"])
def test_the_key_ring_is_where_the_setting_says_and_for_its_owner_only(kind: str) -> None:
    path = one("ConfigMap")["data"]["ROOST_KEYRING__FILE"]
    spec = pods()[kind]["spec"]
    copy, _ = spec["initContainers"]
    assert copy["command"] == ["install", "-m", "0600", "/secret/keyring.json", path]
    [main] = spec["containers"]
    places = {mount["mountPath"]: mount["name"] for mount in main["volumeMounts"]}
    assert places[str(Path(path).parent)] == "keyring"
    volumes = {each["name"]: each for each in spec["volumes"]}
    assert volumes["keyring"]["emptyDir"]["medium"] == "Memory"
    assert volumes["secret"]["secret"]["secretName"] == "roost-keyring"
    assert {next(iter(each)) for each in main["envFrom"]} == {"configMapRef", "secretRef"}


def selected(selector: Object, kind: str) -> bool:
    """Return whether a selector takes our pods of this kind; KubeRay gives them their type."""
    labels = pods()[kind]["metadata"]["labels"] | {"ray.io/node-type": kind}
    return all(labels.get(name) == value for name, value in selector.get("matchLabels", {}).items())


def test_the_service_leads_to_gateways() -> None:
    spec = one("Service")["spec"]
    assert selected({"matchLabels": spec["selector"]}, "worker")
    assert not selected({"matchLabels": spec["selector"]}, "head")
    [port] = spec["ports"]
    [main] = pods()["worker"]["spec"]["containers"]
    assert {each["name"]: each["containerPort"] for each in main["ports"]}[port["targetPort"]] == int(
        one("ConfigMap")["data"]["ROOST_HTTP__PORT"]
    )
    assert main["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_every_node_has_a_gateway() -> None:
    spec = one("RayCluster")["spec"]
    nodes = 1 + sum(group["replicas"] for group in spec["workerGroupSpecs"])
    assert int(one("ConfigMap")["data"]["ROOST_CLUSTER__GATEWAYS"]) == nodes


def test_one_node_is_taken_at_a_time() -> None:
    spec = one("PodDisruptionBudget")["spec"]
    assert spec["maxUnavailable"] == 1
    assert all(selected(spec["selector"], kind) for kind in ("head", "worker"))


def admitted(kind: str) -> list[tuple[Object, int, int]]:
    """Return who is let in to pods of this kind, and to which ports."""
    return [
        (who, port["port"], port.get("endPort", port["port"]))
        for policy in objects("NetworkPolicy")
        if selected(policy["spec"]["podSelector"], kind)
        for rule in policy["spec"].get("ingress", ())
        for who in rule["from"]
        for port in rule["ports"]
    ]


@pytest.mark.parametrize("kind", ["head", "worker"])
def test_network_policies_cover_every_port(kind: str) -> None:
    closed = [
        each
        for each in objects("NetworkPolicy")
        if set(each["spec"]["policyTypes"]) == {"Ingress", "Egress"}
        and set(each["spec"]) == {"podSelector", "policyTypes"}
    ]
    assert any(selected(each["spec"]["podSelector"], kind) for each in closed), "nothing is closed by default"
    [main] = pods()[kind]["spec"]["containers"]
    for port in main["ports"]:
        number = port["containerPort"]
        assert [who for who, low, high in admitted(kind) if low <= number <= high], f"nothing reaches {port}"
    # Nobody but our own pods (and KubeRay's operator, to the head) reaches Ray or the links.
    for who, low, high in admitted(kind):
        if "podSelector" in who:
            assert selected(who["podSelector"], kind)
            continue
        name = who["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        assert low == high
        assert low in {8080, METRICS_PORT} or (kind, name, low) == ("head", "kuberay-operator", 6379)


def test_nodes_reach_each_other_and_the_servers() -> None:
    rules = [rule for each in objects("NetworkPolicy") for rule in each["spec"].get("egress", ())]
    ports = {port["port"] for rule in rules for port in rule["ports"]}
    assert ports >= {53, 9092, 27017, 6379, 443}
    assert [
        rule
        for rule in rules
        if rule["to"] == [{"podSelector": {"matchLabels": pods()["head"]["metadata"]["labels"]}}]
    ]
    public = [who["ipBlock"] for rule in rules for who in rule["to"] if "ipBlock" in who]
    assert all({"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"} <= set(each["except"]) for each in public)


def test_ports_of_ray_are_the_same_everywhere() -> None:
    for pod, group in zip(
        pods().values(),
        [one("RayCluster")["spec"]["headGroupSpec"], *one("RayCluster")["spec"]["workerGroupSpecs"]],
        strict=True,
    ):
        started = {int(value) for name, value in group["rayStartParams"].items() if name.endswith("port")}
        shown = {port["containerPort"] for port in pod["spec"]["containers"][0]["ports"]}
        assert started <= RAY_PORTS
        assert started <= shown
    for path in UNITS:
        [start] = unit(path)["ExecStart"]
        assert {int(each) for each in re.findall(r"(?:port=|:)(\d+)", start)} <= RAY_PORTS


FILES = {
    "ROOST_NODE__CA": "CA_CERT",
    "ROOST_NODE__CERTIFICATE": "SERVER_CERT",
    "ROOST_NODE__KEY": "SERVER_KEY",
}


def nodes() -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the environment of each kind of node of a cluster."""
    for kind, pod in pods().items():
        [main] = pod["spec"]["containers"]
        yield kind, one("ConfigMap")["data"] | {each["name"]: each["value"] for each in main["env"]}
    for path in UNITS:
        if path.name != "roost.service":
            yield path.name, dict(each.split("=", 1) for each in unit(path)["Environment"])


@pytest.mark.attack("a cluster of nodes that talk in the clear")
@pytest.mark.parametrize(("where", "values"), list(nodes()), ids=[name for name, _ in nodes()])
def test_nodes_have_a_certificate_and_ray_has_the_same(where: str, values: dict[str, str]) -> None:
    assert values["RAY_USE_TLS"] == "1", where
    for ours, rays in FILES.items():
        assert values[f"RAY_TLS_{rays}"] == values[ours]
    assert "ROOST_CLUSTER__INSECURE" not in values
    assert "ROOST_TELEMETRY__INSECURE" not in values


@pytest.mark.parametrize("kind", ["head", "worker"])
def test_a_pod_makes_its_certificate_and_keeps_the_cas_key_nowhere(kind: str) -> None:
    spec = pods()[kind]["spec"]
    _, make = spec["initContainers"]
    [script] = make["args"]
    [command] = re.findall(r"roost (certs .*)", script)
    words = shlex.split(command.replace('"$POD_IP"', "10.0.0.11"))
    args = command_line._parser(words).parse_args(words)
    assert args.places == ["10.0.0.11", "roost-head-svc", "roost-head-svc.roost.svc.cluster.local"]
    kept = script.splitlines()[-1]
    for file in ("ROOST_NODE__CA", "ROOST_NODE__CERTIFICATE", "ROOST_NODE__KEY"):
        path = Path(one("ConfigMap")["data"][file])
        assert f"{args.folder}/{path.name}" in kept
        assert kept.endswith(f" {path.parent}")
    assert "ca.key" not in kept
    [main] = spec["containers"]
    assert "ca" not in {mount["name"] for mount in main["volumeMounts"]}


# --- compose and the image ------------------------------------------------------------------------


def test_compose_exposes_nothing_to_strangers() -> None:
    services = compose()["services"]
    assert set(services) == {"kafka", "mongo", "redis", "roost"}
    assert compose()["networks"]["servers"] == {"internal": True}
    for name, each in services.items():
        assert each["healthcheck"]["test"], name
        assert all(port.startswith("127.0.0.1:") for port in each.get("ports", ())), name
        if name != "roost":
            assert each["networks"] == ["servers"]
    assert services["roost"]["ports"] == ["127.0.0.1:8080:8080"]
    assert set(services["roost"]["depends_on"]) == {"kafka", "mongo", "redis"}


def test_compose_names_the_servers_as_roost_calls_them() -> None:
    services = compose()["services"]
    given = services["roost"]["environment"]
    assert given["ROOST_KAFKA__URL"] in services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert services["kafka"]["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    for server in ("mongo", "redis"):
        host = given[f"ROOST_{server.upper()}__URL"].split("://")[1].split(":")[0]
        assert host in services
    replica_set = services["mongo"]["command"][services["mongo"]["command"].index("--replSet") + 1]
    assert given["ROOST_MONGO__URL"].endswith(f"replicaSet={replica_set}")
    assert f"_id: '{replica_set}'" in " ".join(services["mongo"]["healthcheck"]["test"])
    assert given["ROOST_HTTP__PORT"] in services["roost"]["ports"][0].split(":")


def test_images_are_pinned_and_of_well_known_names() -> None:
    images = {each["image"] for each in compose()["services"].values()} - {IMAGE}
    [base] = re.findall(r"^FROM (\S+)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    for image in [*images, base]:
        name, _, tag = image.partition(":")
        assert re.fullmatch(r"\d+\.\d+\.\d+(-[\w-]+)?", tag), image
        assert name in {"apache/kafka", "mongo", "redis", "python"}


def test_the_image_has_every_package_and_no_root() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    copied = set(re.findall(r"^COPY (\w+) \w+$", text, re.MULTILINE))
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())
    assert copied == set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    assert "-c constraints.txt" in text
    assert "USER 1000:1000" in text
    assert pods()["head"]["spec"]["securityContext"]["runAsUser"] == 1000


# --- systemd --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_units_are_confined(path: Path) -> None:
    found = {key: values[-1] for key, values in unit(path).items()}
    assert found["User"] == "roost"
    assert found["ProtectSystem"] == "strict"
    assert found["NoNewPrivileges"] == "yes"
    assert found["CapabilityBoundingSet"] == ""
    assert found["SystemCallFilter"] == "@system-service"
    assert int(found["LimitNOFILE"]) >= 65536
    assert int(found["TimeoutStopSec"]) >= 60
    written = dict(each.split("=", 1) for each in unit(path)["Environment"])
    assert written["ROOST_DATA"] == f"/var/lib/{found['StateDirectory']}"


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_takes_the_units(path: Path, tmp_path: Path) -> None:
    analyzer = shutil.which("systemd-analyze")
    if analyzer is None:  # a machine without systemd: what they say is read above and here
        parser = configparser.RawConfigParser(strict=False)
        parser.read_string(path.read_text())
        assert parser.sections() == ["Unit", "Service", "Install"]
        return
    # Its word on a command is whether that is installed, which is not asked here.
    for each in UNITS:
        text = re.sub(r"/opt/roost/bin/\w+", "/bin/true", each.read_text())
        (tmp_path / each.name).write_text(text)
    done = subprocess.run(
        [analyzer, "verify", str(tmp_path / path.name)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
