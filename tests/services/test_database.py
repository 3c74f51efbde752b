"""The database as compiled: TLS and who may log in how, the parameters, and the connections against their budget."""

import json
import re
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest

from fleetnode.certificates import Authority, issue
from podrunner.objects import Objects
from podrunner.volumes import content_of

# Logs in as Synapse does, with its own files and what is said in their place; says how that went.
LOGIN = """
import json, sys, psycopg2, yaml
database = yaml.safe_load(open("/etc/synapse/homeserver.yaml"))["database"]["args"]
arguments = {key: value for key, value in database.items() if not key.startswith("cp_")}
try:
    connection = psycopg2.connect(**{**arguments, "connect_timeout": 10, **json.loads(sys.argv[1])})
    print("as", connection.info.user, connection.info.ssl_attribute("protocol"))
except psycopg2.OperationalError as error:
    print("refused", error)
"""


@pytest.fixture(params=["single", "ha"])
def server(request):
    return request.getfixturevalue(request.param)


def login(server, component="synapse", **instead):
    """What came of a log-in from inside a Synapse."""
    output = Path(server.node.directory, "login.txt")
    command = ["python", "-c", LOGIN, json.dumps(instead)]
    assert server.pod(component).container("synapse").execute(command, 30, output) == 0, output.read_text()
    return output.read_text()


def test_synapse_verifies_the_server_in_full(server):
    assert re.match(r"as synapse_\w+ TLSv1", login(server))
    # The same server by its address, which the certificate does not name; and by an authority that is not its own.
    address = server.pod_of("pgbouncer" if server.pooled else "postgresql").address
    assert "does not match host name" in login(server, host=address)
    assert "certificate verify failed" in login(server, sslrootcert="/etc/ssl/certs/ca-certificates.crt")


def test_nobody_comes_in_plain(server):
    refused = login(server, sslmode="disable")
    assert "no encryption" in refused or "SSL required" in refused, refused


def test_a_wrong_password_is_refused(server):
    said = "SASL" if server.pooled else "password"
    assert f"{said} authentication failed" in login(server, password="wrong")


def test_the_server_itself_refuses_plain(node, ha):
    """Past PgBouncer, from its Pod, which may reach the server: by PostgreSQL's own list."""
    target = ha.pod_of("postgres")
    said = {"host": target.address, "dbname": "synapse", "connect_timeout": "5"}
    secret = content_of(node.objects.need("Secret", ha.namespace, f"{ha.tenant.folder.name}-database-1"))
    said |= {"user": secret["username"].decode(), "password": secret["password"].decode()}

    def tried(**more):
        output = Path(node.directory, "plain.txt")
        words = " ".join(f"{key}={value}" for key, value in {**said, **more}.items())
        ha.pod_of("pgbouncer").container("pgbouncer").execute(["psql", "-XAtc", "SELECT 1", words], 20, output)
        return output.read_text()

    assert tried(sslmode="require").strip() == "1"
    assert "no encryption" in tried(sslmode="disable")
    # A login opens the database that bears its group's name, and no other.
    assert "pg_hba.conf rejects" in tried(sslmode="require", dbname="postgres")


def test_every_connection_of_the_server_is_encrypted(server):
    query = "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE client_addr IS NOT NULL"
    assert server.sql(query) == [["t"]]


def test_the_pooler_refuses_a_server_of_a_stranger(node, ha):
    """For a moment PostgreSQL has a certificate of an authority that nobody knows."""
    target, pooler = ha.pod_of("postgres"), ha.pod_of("pgbouncer")
    certificate = next(
        one for one in ha.tenant.objects if one["kind"] == "Certificate" and one["metadata"]["name"].endswith("-tls")
    )
    name = certificate["spec"]["secretName"]
    own = node.objects.need("Secret", ha.namespace, name)
    forged = Objects()
    spec = {**certificate["spec"], "issuerRef": {"kind": "ClusterIssuer", "name": "a stranger's"}}
    issue([{**certificate, "spec": spec}], forged, Authority("nobody knows it"))
    log = pooler.container("pgbouncer").log
    verify = "certificate verify failed"

    def present(secret):
        node.objects.add(secret)
        node.volumes.refresh(target.pod)
        ha.sql("SELECT pg_reload_conf()")
        time.sleep(1)

    # Another database than Synapse's, for which PgBouncer has no connection that is open already.
    login(ha, dbname="postgres", connect_timeout=4)
    before = log.read_text().count(verify)
    present(forged.need("Secret", ha.namespace, name))
    try:
        assert login(ha, dbname="postgres", connect_timeout=4).startswith("refused")
        assert log.read_text().count(verify) > before
    finally:
        present(own)
    count = log.read_text().count(verify)
    login(ha, dbname="postgres", connect_timeout=4)
    assert log.read_text().count(verify) == count


def test_parameters_are_taken_as_compiled(server):
    """Each line was applied, and SHOW agrees: those of CloudNativePG's Cluster, and those of the plain server."""
    cluster = next((one for one in server.tenant.objects if one["kind"] == "Cluster"), None)
    if cluster:
        wanted = cluster["spec"]["postgresql"]["parameters"]
    else:
        text = server.file("postgresql", "postgresql.conf")
        wanted = dict(re.findall(r"(?m)^(\w+) = '?([^'#\n]*?)'?\s*(?:#.*)?$", text))
    assert len(wanted) > 10
    query = "SELECT name, setting, coalesce(error, '') FROM pg_file_settings WHERE applied"
    lines = {name: (setting, error) for name, setting, error in server.sql(query)}
    shown = dict(server.sql("SELECT name, current_setting(name) FROM pg_settings"))
    for name, value in wanted.items():
        assert lines[name] == (str(value), ""), name
        if shown[name] != "(disabled)":  # archive_command, while archive_mode is off
            # wal_compression has methods by now: "on" is pglz.
            assert plain(shown[name]) in (plain(str(value)), "pglz" if value == "on" else value), name


def plain(value):
    """A setting in its least unit: PostgreSQL shows 2048MB as 2GB."""
    units = {"kB": 1, "MB": 1024, "GB": 1024**2, "ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
    found = re.fullmatch(r"(\d+)(kB|MB|GB|ms|s|min|h|d)", value)
    return int(found.group(1)) * units[found.group(2)] if found else value


def test_connections_stay_within_the_budget(node, ha):
    """Under load no process opens more than it may, nor all together more than the tenant's page promises."""
    page = (ha.tenant.folder / "docs/README.md").read_text()
    promised, limit, parts = re.search(r"(?m)^(\d+) of (\d+): (.*)\.$", page).groups()
    least, most = map(int, re.findall(r"(?m)^    cp_m(?:in|ax): (\d+)$", ha.file("synapse", "homeserver.yaml")))
    reserved = int(re.search(r"reserved (\d+)", parts).group(1))
    names = {run.address: run.pod.name for run in ha.synapses()}
    per_pod, opened = Counter(), [0]
    alice = ha.person("alice")
    room = quote(alice.room())
    # Questions that no cache answers.
    paths = ("publicRooms", "notifications", f"rooms/{room}/messages?dir=b&limit=100", f"rooms/{room}/members", "sync")
    output = Path(node.directory, "clients.txt")

    def sample():
        command = [
            "psql",
            "-XA",
            "-P",
            "footer=off",
            "-F",
            "\t",
            "-h",
            "/tmp",
            "-U",
            "pgbouncer",
            "-p",
            "5432",
            "pgbouncer",
            "-c",
        ]
        assert ha.pod_of("pgbouncer").container("pgbouncer").execute([*command, "SHOW CLIENTS"], 20, output) == 0
        columns, *rows = [line.split("\t") for line in output.read_text().splitlines()]
        addresses = [row[columns.index("addr")] for row in rows]
        now = Counter(names[address] for address in addresses if address in names)
        for name, count in now.items():
            per_pod[name] = max(per_pod[name], count)
        ((count,),) = ha.sql("SELECT count(*) FROM pg_stat_activity WHERE client_addr IS NOT NULL")
        opened[0] = max(opened[0], int(count))

    def ask(number):
        url = f"{ha.url}/_matrix/client/v3/{paths[number % len(paths)]}"
        assert ha.http().get(url, headers=alice.http.headers, timeout=60).ok

    sample()
    quiet = sum(per_pod.values())
    with ThreadPoolExecutor(64) as pool:
        asked = [pool.submit(ask, number) for number in range(300)]
        while not all(one.done() for one in asked):
            sample()
    assert set(per_pod) == set(names.values())
    assert least < max(per_pod.values()) <= most, per_pod
    assert quiet <= sum(per_pod.values()) <= opened[0] + len(per_pod) and opened[0] <= int(promised) - reserved
    assert int(promised) <= int(limit)
    print(f"{quiet} connections at rest, {sum(per_pod.values())} under load, {promised} promised of {limit}")
