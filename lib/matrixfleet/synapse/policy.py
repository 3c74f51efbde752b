"""The pages of a policy that people agree to, as Synapse's consent resource wants them."""

from html import escape

from matrixfleet.kubernetes.pods import Mount
from matrixfleet.model.services import Consent
from matrixfleet.plan import TenantPlan
from matrixfleet.synapse.accounts import CONSENT
from matrixfleet.templates import render


def policy_pages(consent: Consent | None) -> dict[str, str]:
    """The policy and the page after it, by file. Synapse renders both as Jinja: what a tenant wrote is text
    to it, braces too."""
    if consent is None:
        return {}
    paragraphs = [plain(part) for part in consent.text.strip().split("\n\n")]
    title = plain(consent.name)
    return {
        "policy.html": render(__file__, "policy.html.j2", title=title, paragraphs=paragraphs, agrees=True),
        "agreed.html": render(__file__, "policy.html.j2", title=title, paragraphs=["Thank you."], agrees=False),
    }


def plain(text: str) -> str:
    """Text that neither a browser nor Jinja reads as anything else."""
    return escape(text).replace("{", "&#123;").replace("}", "&#125;")


def policy_folder(plan: TenantPlan) -> list[Mount]:
    """The pages below the language's folder, which is `en` whatever they are written in
    (synapse/rest/consent/consent_resource.py)."""
    consent = plan.tenant.consent
    if consent is None:
        return []
    items = [
        {"key": "policy.html", "path": f"en/{consent.version}.html"},
        {"key": "agreed.html", "path": "en/success.html"},
    ]
    return [Mount("consent", CONSENT, {"configMap": {"name": plan.called("synapse"), "items": items}})]
