"""Who is told of a target's alerts, as prometheus-operator wants it; nothing where nobody is named."""

from collections.abc import Iterator

import yaml

from matrixfleet.drawing import component
from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import make
from matrixfleet.model.alerts import Alerts
from matrixfleet.model.choices import Metrics
from matrixfleet.plan import Plan, waves
from matrixfleet.templates import read

RECEIVER = "people"


@component("workload/receivers")
def main(plan: Plan) -> Iterator[Object]:
    """One AlertmanagerConfig. Its route and its inhibitions name the tenant: whatever else Alertmanager is told, no
    other's alert comes in. It asks for `alertmanagerConfigMatcherStrategy: None` of the Alertmanager, which else adds
    a matcher on `namespace`, a label that alerts of several Pods do not have."""
    if plan.alerts is None or plan.cluster.metrics is not Metrics.PROMETHEUS_OPERATOR:
        return
    mine = matcher("tenant", plan.name)
    thing = make(
        plan,
        "AlertmanagerConfig",
        "alerts",
        api="monitoring.coreos.com/v1alpha1",
        wave=waves.FRONT,
        # Its CRD comes with an operator that may still be on its way.
        annotations={"argocd.argoproj.io/sync-options": "SkipDryRunOnMissingResource=true"},
        spec={
            "route": {
                "receiver": RECEIVER,
                "matchers": [mine],
                # What begins together is told together, a cause with its symptoms.
                "groupBy": ["tenant", "severity"],
                "groupWait": "30s",
                "groupInterval": "5m",
                "repeatInterval": "12h",
                "routes": [{"receiver": RECEIVER, "matchers": [CRITICAL], "repeatInterval": "1h"}],
            },
            "inhibitRules": [
                {
                    "sourceMatch": [mine, matcher("alertname", rule["cause"])],
                    "targetMatch": [mine, matcher("alertname", "|".join(rule["symptoms"]), "=~")],
                    "equal": ["tenant"],
                }
                for rule in yaml.safe_load(read(__file__, "inhibitions.yml"))
            ],
            "receivers": [{"name": RECEIVER, **configs(plan, plan.alerts)}],
        },
    )
    thing["metadata"]["labels"] |= plan.cluster.monitoring.labels
    yield thing


def matcher(name: str, value: str, how: str = "=") -> Object:
    """One condition on an alert's labels."""
    return {"name": name, "value": value, "matchType": how}


CRITICAL = matcher("severity", "critical")


def configs(plan: Plan, alerts: Alerts) -> Object:
    """The receiver's ways; addresses that are secret by their Secret."""

    def url(purpose: str) -> Object:
        return {"name": plan.secret(purpose).name, "key": "url"}

    found: Object = {}
    if alerts.email:
        found["emailConfigs"] = [{"to": address, "sendResolved": True} for address in alerts.email]
    if alerts.slack:
        channel = {"channel": alerts.slack.channel, "apiURL": url("alerts-slack"), "sendResolved": True}
        found["slackConfigs"] = [channel]
    if alerts.webhook:
        found["webhookConfigs"] = [{"urlSecret": url("alerts-webhook"), "sendResolved": True}]
    return found
