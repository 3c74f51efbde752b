"""Addresses that are nobody's public ones: a live Synapse fetches no preview from them, a live Coturn relays nothing to
them. tests/services/test_turn.py has the relay that does pass."""

import ipaddress
from concurrent.futures import ThreadPoolExecutor

import yaml
from test_turn import Uri, caller, credentials, refused  # noqa: F401

INSIDE = [
    "10.0.0.1",
    "10.20.0.10",
    "172.20.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "127.0.0.1",
    "0.0.0.0",
    "169.254.169.254",
    "169.254.170.2",
    "168.63.129.16",
    "100.100.100.200",
    "192.0.0.192",
    "192.0.0.9",
    "192.0.2.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.1",
    "192.175.48.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "::ffff:10.0.0.1",
    "::10.0.0.1",
    "2002:a00:1::1",
    "64:ff9b::a00:1",
    "64:ff9b:1::a00:1",
    "::ffff:0:10.0.0.1",
    "100::1",
    "100:0:0:1::1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::",
    "2001:0:a00:1::",
    "::ffff:127.0.0.1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
    "2620:4f:8000::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "fc00::1",
]


def addresses(single):
    """These, and the first and the last address of each network that this cluster denies."""
    denied = yaml.safe_load(single.file("synapse", "homeserver.yaml"))["url_preview_ip_range_blacklist"]
    ends = [str(end) for network in map(ipaddress.ip_network, denied) for end in (network[0], network[-1])]
    return list(dict.fromkeys([*INSIDE, *ends]))


def preview(single, url):
    headers = {"Authorization": f"Bearer {single.person('alice').token}"}
    path = f"{single.url}/_matrix/client/v1/media/preview_url"
    return single.http().get(path, params={"url": url}, headers=headers, timeout=30)


def test_previews_are_fetched_from_the_internet(single):
    """The positive: a page at a public address of the test's world."""
    element = next(host for host in single.hosts if host.startswith("chat."))
    answer = preview(single, f"https://{element}/")
    assert answer.status_code == 200, answer.text


def test_no_preview_of_a_denied_address(single):
    """Refused for what it is. Synapse's client takes no address in brackets (idna.core.InvalidCodepoint), so of
    IPv6 only that nothing is fetched; tests/attacks/test_denied_networks.py asks Synapse's own check for IPv6."""
    hosts = [f"[{one}]" if ":" in one else one for one in addresses(single)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda host: preview(single, f"http://{host}/"), hosts))
    fetched = []
    for host, answer in zip(hosts, answers, strict=True):
        blocked = (answer.status_code, answer.json().get("error")) == (403, "IP address blocked")
        if not (blocked or (host.startswith("[") and "InvalidCodepoint" in answer.text)):
            fetched.append(f"{host}: {answer.status_code} {answer.text}")
    assert not fetched, "\n".join(fetched)


def test_no_preview_of_a_name_that_leads_inside(node, single):
    """DNS decides where a name leads: it is looked at behind it."""
    node.network.outside["inside.example.net"] = single.pod("postgresql").address
    node.sync()
    try:
        answer = preview(single, "http://inside.example.net:9187/metrics")
        assert answer.status_code == 502 and "DNS resolution failure" in answer.text, answer.text
    finally:
        del node.network.outside["inside.example.net"]
        node.sync()


def test_no_relay_to_a_denied_address(node, single, caller, credentials):  # noqa: F811
    """IPv4, which this machine's relays have; the ranges of both are held against Synapse's own documentation in
    tests/attacks/test_denied_networks.py."""
    uri = Uri(credentials["uris"][0])
    names = credentials["username"], credentials["password"]
    four = [one for one in addresses(single) if ":" not in one]
    assert len(four) > 30
    passed = []
    for address in four:
        if (code := refused(node, caller, uri, *names, (address, 40000))) != 403:
            passed.append(f"{address}: {code}")
    assert not passed, "\n".join(passed)


def test_what_runs_is_what_is_denied(single):
    """Both programs read the whole list."""
    options = yaml.safe_load(single.file("synapse", "homeserver.yaml"))
    assert set(options["url_preview_ip_range_blacklist"]) == set(options["ip_range_blacklist"])
    configuration = single.file("turn", "turnserver.conf")
    assert configuration.count("denied-peer-ip=") == len(options["ip_range_blacklist"])
