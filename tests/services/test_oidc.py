"""Log-in at an OpenID provider: a tenant that has nothing else, and a real provider in the same cluster."""

import json
import re
import urllib.parse
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

from harness import eventually, reaches
from lab import ISSUER, PORT, SECRET, SERVER_NAME, URL

# Where a client waits for what Synapse sends a browser back with.
APP = "https://app.example.org/"


class Form(HTMLParser):
    """The first form of a page that sends something: where to, and what."""

    def __init__(self, page):
        super().__init__()
        self.action, self.fields, self._within = None, {}, False
        self.feed(page.text)
        self.action = urllib.parse.urljoin(page.url, self.action)

    def handle_starttag(self, tag, attributes):
        told = dict(attributes)
        if tag == "form" and self.action is None:
            self.action, self._within = told.get("action") or "", True
        elif tag in ("input", "button") and told.get("name") and self._within:
            self.fields[told["name"]] = told.get("value", "")

    def handle_endtag(self, tag):
        self._within = self._within and tag != "form"


@dataclass
class Browser:
    """Somebody's cookies."""

    http: object

    def send(self, page, **fields):
        form = Form(page)
        answer = self.http.post(form.action, data={**form.fields, **fields}, timeout=15)
        assert answer.status_code < 400, answer.text
        return answer

    def log_in(self, name):
        """From the client's button to Synapse's last page, which holds a token for the client."""
        asked = {"redirectUrl": APP}
        page = self.http.get(f"{URL}/_matrix/client/v3/login/sso/redirect/oidc-lab", params=asked, timeout=15)
        assert page.url.startswith(f"{ISSUER}/interaction/"), page.text
        consent = self.send(page, login=name, password="any")
        return self.send(consent)


def token_of(page):
    """The login token in the link that leads back to the client."""
    return re.search(rf"{re.escape(APP)}\?loginToken=([^\"&]+)", page.text).group(1)


def log_in(lab, token):
    return lab.http().post(f"{URL}/_matrix/client/v3/login", json={"type": "m.login.token", "token": token}, timeout=10)


def whoami(lab, access):
    headers = {"Authorization": f"Bearer {access}"}
    return lab.http().get(f"{URL}/_matrix/client/v3/account/whoami", headers=headers, timeout=10)


def test_there_is_no_other_way_in(lab):
    flows = lab.http().get(f"{URL}/_matrix/client/v3/login", timeout=10).json()["flows"]
    assert "m.login.password" not in {flow["type"] for flow in flows}
    (sso,) = (flow for flow in flows if flow["type"] == "m.login.sso")
    assert [one["id"] for one in sso["identity_providers"]] == ["oidc-lab"]
    body = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": "ada"}, "password": "any"}
    assert lab.http().post(f"{URL}/_matrix/client/v3/login", json=body, timeout=10).status_code in (400, 403)


def test_somebody_logs_in(lab):
    page = Browser(lab.http()).log_in("ada")
    answer = log_in(lab, token_of(page)).json()
    assert answer["user_id"] == f"@ada:{SERVER_NAME}"
    headers = {"Authorization": f"Bearer {answer['access_token']}"}
    assert whoami(lab, answer["access_token"]).json()["user_id"] == f"@ada:{SERVER_NAME}"
    profile = lab.http().get(f"{URL}/_matrix/client/v3/profile/@ada:{SERVER_NAME}", headers=headers, timeout=10)
    assert profile.json()["displayname"] == "Ada"
    addresses = lab.http().get(f"{URL}/_matrix/client/v3/account/3pid", headers=headers, timeout=10).json()
    assert [one["address"] for one in addresses["threepids"]] == [f"ada@{SERVER_NAME}"]
    room = lab.http().post(f"{URL}/_matrix/client/v3/createRoom", headers=headers, json={}, timeout=10)
    assert room.status_code == 200, room.text


def test_a_login_token_is_good_once(lab):
    token = token_of(Browser(lab.http()).log_in("bea"))
    assert log_in(lab, token).status_code == 200
    again = log_in(lab, token)
    assert (again.status_code, again.json()["errcode"]) == (403, "M_FORBIDDEN"), again.text


def test_a_code_is_good_once(lab, provider):
    """The provider's answer again, with the very cookies that it came with."""
    page = Browser(lab.http()).log_in("cyd")
    assert page.url.startswith(f"{URL}/_synapse/client/oidc/callback?")
    stolen = {"Cookie": page.request.headers["Cookie"]}
    again = lab.http().get(page.url, headers=stolen, timeout=15)
    assert again.status_code == 400 and "loginToken" not in again.text, again.text
    assert '"event":"grant.error","error":"invalid_grant"' in provider.container("provider").log.read_text()


def test_an_answer_to_nobody_is_refused(lab):
    """A callback in a browser that asked for none: somebody else's log-in put upon it."""
    page = Browser(lab.http()).log_in("dan")
    other = lab.http().get(page.url, timeout=15)
    assert other.status_code == 400 and "loginToken" not in other.text, other.text


def test_who_logs_out_there_is_logged_out_here(lab):
    browser = Browser(lab.http())
    access = log_in(lab, token_of(browser.log_in("eve"))).json()["access_token"]
    assert whoami(lab, access).status_code == 200
    page = browser.http.get(f"{ISSUER}/session/end", timeout=15)
    browser.send(page, logout="yes")
    eventually(lambda: whoami(lab, access).status_code == 401)


def test_only_synapse_reaches_the_provider(lab, node, provider):
    reached = {
        kind for kind in ("synapse", "router", "postgresql") if reaches(node, lab.pod(kind), provider.address, PORT)
    }
    assert reached == {"synapse"}


def test_the_secret_is_where_its_program_alone_reads_it(lab):
    output = Path(lab.node.directory, "secret.txt")
    synapse = lab.pod("synapse").container("synapse")
    assert synapse.execute(["cat", "/secrets/oidc-lab/client_secret"], 10, output) == 0
    assert output.read_text() == SECRET
    assert SECRET not in json.dumps(lab.tenant.objects)
