"""Element Web's compiled nginx configuration, config.json and headers, in a real browser.

A stub page stands in for the application (element/): it takes from config.json what Element takes.
"""

import json
import os
import re
import subprocess

import pytest
from harness import eventually
from lab import ISSUER, URL
from playwright.sync_api import sync_playwright

CHROMIUM = "/usr/bin/chromium"
CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
"""A camera and a microphone that are always allowed by the person: what is left is the page's own policy."""
ALWAYS = {
    "Content-Security-Policy",
    "X-Frame-Options",
    "X-Content-Type-Options",
    "Referrer-Policy",
    "Strict-Transport-Security",
    "Permissions-Policy",
    "Cross-Origin-Opener-Policy",
}
# Every kind of location that the configuration has, what it answers and how long that may be kept.
LOCATIONS = {
    "/": (200, "no-cache"),
    "/index.html": (200, "no-cache"),
    "/version": (200, "no-cache"),
    "/i18n/languages.json": (404, None),
    "/config.json": (200, "no-cache"),
    "/config.chat.example.com.json": (200, "no-cache"),
    "/manifest.json": (200, "no-cache"),
    "/stub.js": (200, "public, max-age=86400"),
    "/bundles/none.js": (404, None),
}


def chat(server):
    return "https://" + next(host for host in server.hosts if host.startswith("chat."))


@pytest.fixture(scope="module")
def browser(node, world, tmp_path_factory):
    """Chromium that trusts the world's authority and no other."""
    home = tmp_path_factory.mktemp("chromium")
    database = home / ".pki/nssdb"
    database.mkdir(parents=True)
    authority = home / "world.pem"
    authority.write_bytes(world.pem)
    certutil = ["certutil", "-d", f"sql:{database}"]
    subprocess.run([*certutil, "-N", "--empty-password"], check=True)
    subprocess.run([*certutil, "-A", "-n", "world", "-t", "C,,", "-i", authority], check=True)
    with sync_playwright() as playwright:
        environment = {**os.environ, "HOME": str(home)}
        # Root has no sandbox; what it opens is our own.
        made = playwright.chromium.launch(
            executable_path=CHROMIUM, chromium_sandbox=False, env=environment, args=[*CAMERA]
        )
        yield made
        made.close()


@pytest.fixture
def page(browser):
    made = browser.new_page()
    yield made
    made.context.close()


@pytest.mark.parametrize("path", LOCATIONS)
def test_headers_at_every_location(single, path):
    status, cache = LOCATIONS[path]
    answer = single.http().get(chat(single) + path, timeout=10)
    assert answer.status_code == status
    assert set(answer.headers) >= ALWAYS
    # Twice the same header comes as one with a comma, and two policies are both in force.
    assert answer.headers["Content-Security-Policy"].count("default-src") == 1
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert answer.headers.get("Cache-Control") == cache
    assert not re.search(r"\d", answer.headers.get("Server", "")), "no version"
    if path.endswith(".json") and status == 200:
        assert answer.headers["Content-Type"] == "application/json"
        answer.json()


def started(page, url):
    """Open the page; what its policy refused goes into window.refused."""
    page.goto(url)
    page.wait_for_selector("html[data-started]")
    page.evaluate(
        "() => { window.refused = []; document.addEventListener('securitypolicyviolation',"
        " (event) => window.refused.push([event.effectiveDirective, event.blockedURI])) }"
    )


def refused(page):
    return {tuple(one) for one in page.evaluate("window.refused")}


def test_the_page_runs_and_nothing_of_it_is_refused(single, page):
    said = []
    page.on("console", lambda message: said.append(message.text))
    started(page, chat(single))
    assert page.title() == "Element"
    assert not [text for text in said if "Content Security Policy" in text]
    # WebAssembly is what end-to-end encryption runs on.
    assert page.evaluate("WebAssembly.instantiate(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])).then(() => true)")


def put(page, tag, content):
    """Put an element into the page, as who found a hole in it would."""
    page.evaluate(
        "([tag, content]) => document.body.append(Object.assign(document.createElement(tag), content))", [tag, content]
    )


def test_scripts_from_elsewhere_do_not_run(single, page):
    started(page, chat(single))
    foreign = "https://foreign.example.net/evil.js"
    # Somebody would serve it: that it does not run is the policy's doing.
    page.route(foreign, lambda route: route.fulfill(content_type="text/javascript", body="window.evil = 'foreign'"))
    put(page, "script", {"textContent": "window.evil = 'inline'"})
    put(page, "script", {"src": foreign})
    put(page, "img", {"src": "data:,", "onerror": "window.evil = 'handler'"})
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.evil = 1\">')")
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<object data=\"https://foreign.example.net/o\">')")
    # Later, or it would be the debugger's own, who may.
    evaluated = "new Function('window.evil = 2')()"
    page.evaluate(f"setTimeout(() => {{ try {{ {evaluated} }} catch (error) {{ window.told = error.name }} }})")
    wanted = {
        ("script-src-elem", "inline"),
        ("script-src-elem", foreign),
        ("script-src-attr", "inline"),
        ("script-src", "eval"),
        ("object-src", "https://foreign.example.net"),
    }
    eventually(lambda: not wanted - refused(page), 10)
    assert page.evaluate("window.evil") is None
    assert page.evaluate("window.told") == "EvalError"
    # One of its own does.
    page.evaluate("delete window.logIn")
    put(page, "script", {"src": "/stub.js?again"})
    eventually(lambda: page.evaluate("Boolean(window.logIn)"), 10)


def test_a_form_or_a_socket_does_not_go_in_the_clear(single, page):
    started(page, chat(single))
    page.evaluate("fetch('http://matrix.example.com/_matrix/client/versions').catch(() => {})")
    page.evaluate("() => { try { new WebSocket('ws://matrix.example.com/') } catch {} }")
    put(page, "form", {"action": "http://foreign.example.net/", "id": "clear"})
    page.evaluate("document.getElementById('clear').submit()")
    eventually(lambda: {one for one, _ in refused(page)} >= {"connect-src", "form-action"}, 10)


@pytest.mark.parametrize("outside", [True, False])
def test_nobody_else_frames_it(single, page, outside):
    """A page of another site that shows ours as its own; our own may."""
    around = "https://foreign.example.net/" if outside else f"{chat(single)}/around"
    frame = f'<iframe src="{chat(single)}/"></iframe>'
    page.route(around, lambda route: route.fulfill(content_type="text/html", body=frame))
    page.goto(around)
    frame = page.frames[1]
    if outside:
        eventually(lambda: frame.url.startswith("chrome-error:"), 10)
    else:
        frame.wait_for_selector("html[data-started]")


def test_somebody_logs_in_from_the_page(single, page):
    """Another origin's API: its CORS headers and the page's policy let it through."""
    password = single.user("alice")
    started(page, chat(single))
    body = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": "alice"}, "password": password}
    page.evaluate("(body) => window.logIn(body)", body)
    assert page.text_content("#user") == f"@alice:{single.server_name}"
    assert not refused(page)


ASK = """async (url) => {
  try {
    const answer = await fetch(url, { headers: { Authorization: "Bearer nobody" } });
    return [answer.status, (await answer.json()).errcode];
  } catch (error) {
    return [0, String(error)];
  }
}"""


def test_a_page_reads_an_outage(single, page):
    """A browser asks with OPTIONS first, since there is a token: were that refused too, it would tell the page of a
    failed fetch, and Element would say that there is no connection."""
    started(page, chat(single))
    url = (
        f"https://{next(host for host in single.hosts if host.startswith('matrix.'))}/_matrix/client/v3/account/whoami"
    )
    assert page.evaluate(ASK, url) == [401, "M_UNKNOWN_TOKEN"]
    single.pod("synapse").kill("synapse")
    seen = []

    def answered():
        seen.append(page.evaluate(ASK, url))
        return len(seen) > 1 and seen[-1][0] == 401 and seen[-2][0] == 401

    eventually(answered, 90)
    during = {tuple(one) for one in seen if one[0] != 401}
    # The request that Synapse had when it was killed gets 502.
    assert (503, "M_UNKNOWN") in during and during <= {(503, "M_UNKNOWN"), (502, "M_UNKNOWN")}, seen


@pytest.mark.parametrize("allow", ["camera; microphone; display-capture", ""])
def test_a_call_in_a_frame_gets_camera_and_microphone(single, page, allow):
    """Calls, widgets and integration managers are pages of other origins; Element names in `allow` what each may have.
    The policy of the page must not take it away, nor give it to a frame without."""
    started(page, chat(single))
    call = "https://call.example.net/"
    page.route(call, lambda route: route.fulfill(content_type="text/html", body="<p>call</p>"))
    with page.expect_event("framenavigated", lambda frame: frame.url == call, timeout=10_000) as navigated:
        put(page, "iframe", {"src": call, "allow": allow, "id": "call"})
    frame = navigated.value
    take = (
        "navigator.mediaDevices.getUserMedia({ audio: true, video: true }).then(() => 'given', (error) => error.name)"
    )
    assert frame.evaluate(take) == ("given" if allow else "NotAllowedError")
    assert not refused(page)


def test_a_tenants_own_look(lab, page):
    started(page, chat(lab))
    assert page.title() == "Laboratory"
    color = "getComputedStyle(document.documentElement).getPropertyValue('--accent-color')"
    assert page.evaluate(color) == "#123456"
    assert page.evaluate("document.documentElement.dataset.dark") == "true"
    assert page.evaluate("document.getElementById('logo').decode().then(() => true)"), "the logo is shown"
    link = page.locator("#footer a")
    assert (link.text_content(), link.get_attribute("href")) == ("Privacy", "https://lab.example.org/privacy")


def test_the_browser_takes_the_manifest(lab, page):
    """As Chromium itself reads it, for an installed app."""
    started(page, chat(lab))
    read = page.context.new_cdp_session(page).send("Page.getAppManifest")
    assert not read["errors"] and read["url"] == f"{chat(lab)}/manifest.json"
    manifest = json.loads(read["data"])
    assert (manifest["name"], manifest["theme_color"]) == ("Laboratory", "#123456")


def test_single_sign_on_in_the_browser(lab, page):
    """From Element's button to the provider, back through Synapse, and in."""
    page.goto(f"{URL}/_matrix/client/v3/login/sso/redirect/oidc-lab?redirectUrl={chat(lab)}/")
    assert page.url.startswith(ISSUER)
    page.fill("input[name=login]", "fay")
    page.fill("input[name=password]", "any")
    for prompt in ("login", "consent"):
        page.wait_for_selector(f"input[name=prompt][value={prompt}]", state="attached")
        page.click("button[type=submit]")
    # Synapse asks nobody whether this client is theirs: it is the tenant's own.
    page.wait_for_url(f"{chat(lab)}/?loginToken=*")
    page.wait_for_selector("html[data-started]")
    assert page.text_content("#user") == f"@fay:{lab.server_name}"
