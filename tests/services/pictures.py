"""Pictures of the compiled dashboards: each panel's queries asked of a real Prometheus, drawn in Chromium by uPlot.

Grafana does not run here. As it has them are the dashboard's own JSON and grid, its variables, step and rate interval,
its legends and units, and the library that it draws time series with. The pictures are none of its own.
"""

import io
import json
import math
import re
import time
from pathlib import Path

import requests
from harness import TOP
from PIL import Image
from playwright.sync_api import sync_playwright

CHROMIUM = "/usr/bin/chromium"
HERE = Path(__file__).parent
UPLOT = TOP / ".cache/services/node/node_modules/uplot/dist"
POINTS = 300
"""Points of a line at most, as wide as half a picture shows."""
COLORS = 256
"""Of a picture: a third of its size, and the lines keep theirs."""


def boards(objects):
    """Each dashboard of compiled ConfigMaps, by the name of its file."""
    found = {}
    for one in objects:
        for name, text in one["data"].items():
            found[Path(name).stem] = json.loads(text)
    return found


def filled(text, variables):
    """A query with Grafana's variables filled in: `$name` and `${name}`. Raises KeyError for one that nobody set."""
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda found: variables[found[1] or found[2]], text)


def figure(text):
    """What Prometheus says, or None where it is no number (0 / 0)."""
    value = float(text)
    return value if math.isfinite(value) else None


def named(legend, labels):
    """A line's name: `{{label}}` is its label's value."""
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda found: labels.get(found[1], ""), legend).strip()


class Source:
    """A Prometheus, and the time that is asked for.

    url: of its API; begin, end: Unix time; scraped: seconds between two scrapes; tenant: whom a dashboard shows that
    shows one
    """

    def __init__(self, url, begin, end, scraped, tenant):
        self.url, self.tenant = url, tenant
        self.step = max(scraped, -(-int(end - begin) // POINTS))
        # As Grafana does: on multiples of the step, so that one picture's lines share their moments.
        self.times = range(int(begin) // self.step * self.step, int(end), self.step)
        self.interval = f"{max(self.step + scraped, 4 * scraped)}s"

    def get(self, path, **said):
        answer = requests.get(f"{self.url}/{path}", params=said, timeout=30).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def variables(self, board):
        """What Grafana's variables are: a tenant that it lists, or all of them where the dashboard may show all."""
        said = {one["name"]: one for one in board["templating"]["list"]}
        metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", said["tenant"]["query"]).groups()
        known = self.get(f"label/{label}/values", **{"match[]": metric})
        assert self.tenant in known
        tenant = said["tenant"]["allValue"] if said["tenant"]["includeAll"] else self.tenant
        return {"tenant": tenant, "__rate_interval": self.interval}

    def lines(self, panel, variables):
        """Name and values of each line, one at each moment, null where there is none; those with no figure left out."""
        found = []
        for target in panel["targets"]:
            said = {"start": self.times[0], "end": self.times[-1], "step": self.step}
            for line in self.get("query_range", query=filled(target["expr"], variables), **said)["result"]:
                at = {int(when): figure(text) for when, text in line["values"]}
                values = [at.get(when) for when in self.times]
                if any(value is not None for value in values):
                    found.append({"name": named(target["legendFormat"], line["metric"]), "values": values})
        return found

    def drawn(self, board, empty):
        """What pictures.js draws. empty: why a panel has no data, by its title."""
        variables = self.variables(board)
        tenant = "all tenants" if variables["tenant"] == ".+" else f"tenant {variables['tenant']}"
        first, last = (time.strftime("%H:%M", time.gmtime(self.times[end])) for end in (0, -1))
        about = f"{tenant}, {first} to {last} UTC. Drawn by uPlot, not by Grafana"
        made = []
        for panel in board["panels"]:
            one = {"type": panel["type"], "title": panel["title"], "grid": panel["gridPos"]}
            if panel["type"] != "row":
                defaults = panel["fieldConfig"]["defaults"]
                one |= {"unit": defaults["unit"], "min": defaults.get("min"), "times": list(self.times)}
                one |= {"series": self.lines(panel, variables), "empty": empty.get(panel["title"], "No data")}
            made.append(one)
        return {"title": board["title"], "about": about, "panels": made}


def draw(made, folder):
    """Write a PNG of each of what Source.drawn made, by its name."""
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        # Root has no sandbox; what it opens is our own.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, chromium_sandbox=False)
        for name, board in made.items():
            page = browser.new_page(viewport={"width": 1200, "height": 100}, timezone_id="UTC")
            page.set_content("<!doctype html><meta charset=utf-8>")
            for sheet in (UPLOT / "uPlot.min.css", HERE / "pictures.css"):
                page.add_style_tag(path=sheet)
            for script in (UPLOT / "uPlot.iife.min.js", HERE / "pictures.js"):
                page.add_script_tag(path=script)
            page.evaluate("(board) => draw(board)", board)
            # uPlot draws when the page's own work is done.
            page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
            picture = Image.open(io.BytesIO(page.screenshot(full_page=True)))
            picture.convert("RGB").quantize(COLORS, Image.Quantize.MEDIANCUT).save(
                folder / f"{name}.png", optimize=True
            )
            page.close()
        browser.close()
