"""homeserver.yaml: who gets in and how, mail, application services, and how long things are kept."""

from typing import Any

from matrixfleet.model.choices import MailSecurity
from matrixfleet.model.services import Mail, Module
from matrixfleet.model.tenant import Tenant
from matrixfleet.plan import TenantPlan
from matrixfleet.plan.oidc import Login

Options = dict[str, Any]
CONSENT = "/etc/consent"
"""Where Synapse sees the policy's pages."""


def accounts(plan: TenantPlan) -> Options:
    """Who may be somebody here."""
    auth = plan.tenant.auth
    options: Options = {
        "enable_registration": auth.registration.tokens,
        "allow_guest_access": plan.tenant.synapse.guests,
        "password_config": {"enabled": auth.password},
    }
    if auth.registration.tokens:
        options["registration_requires_token"] = True
    if plan.tenant.admin_contact:
        options["admin_contact"] = f"mailto:{plan.tenant.admin_contact}"
    return options


def single_sign_on(plan: TenantPlan) -> Options:
    """OpenID providers. After a log-in people go back to the tenant's own Element unasked; any other client
    that wants their token they must confirm."""
    if not plan.logins:
        return {}
    options: Options = {"oidc_providers": [provider(plan, login) for login in plan.logins]}
    if plan.tenant.hosts.element:
        options["sso"] = {"client_whitelist": [f"https://{plan.tenant.hosts.element}/"]}
    return options


def provider(plan: TenantPlan, login: Login) -> Options:
    """One OpenID provider."""
    said = login.said
    options: Options = {"idp_id": login.id, "idp_name": login.name}
    if login.brand:
        options["idp_brand"] = login.brand
    options |= {
        "issuer": login.issuer,
        "client_id": said.client_id,
        "client_secret_path": plan.secret(login.secret).path("client_secret"),
        "scopes": list(login.scopes),
        **endpoints(login),
    }
    if login.mapping:
        templates = {f"{name}_template": template for name, template in login.mapping.items()}
        options["user_mapping_provider"] = {"config": templates}
    if said.requirements:
        options["attribute_requirements"] = [
            {"attribute": claim, "one_of": list(values)} for claim, values in said.requirements.items()
        ]
    if not said.registration:
        options["enable_registration"] = False
    if said.backchannel_logout:
        options["backchannel_logout_enabled"] = True
        if "subject" in login.mapping:
            # People are known by something else than `sub`, which is what a log-out names them by: the
            # session's id alone must do.
            options["backchannel_logout_ignore_sub"] = True
    return options


def endpoints(login: Login) -> Options:
    """Addresses, where no discovery tells them."""
    if login.endpoints is None:
        return {}
    found = {
        "authorization_endpoint": login.endpoints.authorization,
        "token_endpoint": login.endpoints.token,
        "userinfo_endpoint": login.endpoints.userinfo,
        "jwks_uri": login.endpoints.jwks,
    }
    options: Options = {"discover": False, **{name: address for name, address in found.items() if address}}
    if "openid" not in login.scopes:
        # No id token tells who it is.
        options["user_profile_method"] = "userinfo_endpoint"
    return options


def consent(tenant: Tenant) -> Options:
    """The policy."""
    said = tenant.consent
    if said is None:
        return {}
    options: Options = {
        "template_dir": CONSENT,
        "version": said.version,
        "policy_name": said.name,
        "require_at_registration": said.at_registration,
    }
    if said.block:
        options["block_events_error"] = said.block
    return {"user_consent": options}


def email(mail: Mail | None) -> Options:
    """The mail server. TLS that is not to be had is an error, never a reason to go on without."""
    if mail is None:
        return {}
    options: Options = {"smtp_host": mail.host, "smtp_port": mail.port, "notif_from": mail.sender}
    if mail.user:
        options["smtp_user"] = mail.user
    options |= {
        MailSecurity.STARTTLS: {"require_transport_security": True},
        MailSecurity.IMPLICIT: {"force_tls": True},
        MailSecurity.NONE: {"enable_tls": False},
    }[mail.security]
    return {"email": options}


def services(plan: TenantPlan) -> Options:
    """Application services by their registration files, and modules."""
    tenant = plan.tenant
    options: Options = {}
    if tenant.appservices:
        options["app_service_config_files"] = [
            plan.secret(f"appservice-{name}").path("registration.yaml") for name in tenant.appservices
        ]
    if tenant.modules:
        options["modules"] = [{"module": one.module, "config": module_config(plan, one)} for one in tenant.modules]
    return options


def module_config(plan: TenantPlan, module: Module) -> Options:
    """What a tenant says of a module, and where the files with its secrets are."""
    return {**module.config, **{key: plan.secret(f"module-{module.id}").path(key) for key in module.secrets}}


def retention(tenant: Tenant) -> Options:
    """What goes when; what nobody said is Synapse's own."""
    said = tenant.retention
    media = {"remote_media_lifetime": said.remote_media, "local_media_lifetime": said.local_media}
    messages: Options = {}
    if said.messages:
        bounds = {"allowed_lifetime_min": said.messages.at_least, "allowed_lifetime_max": said.messages.at_most}
        messages = {"enabled": True, **told(bounds)}
        if said.messages.default:
            messages["default_policy"] = {"max_lifetime": said.messages.default}
    return told(
        {
            "media_retention": told(media),
            "retention": messages,
            "forgotten_room_retention_period": said.forgotten_rooms,
            "redaction_retention_period": said.redacted,
            "user_ips_max_age": said.addresses,
        }
    )


def told(options: Options) -> Options:
    """Options that have a value."""
    return {name: value for name, value in options.items() if value}
