"""What a person reads when the inventory is wrong. The texts are an interface: whole lines are compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fleets import MEDIA, PAIR, Repository, with_standby
from matrixfleet.cli.compile import read_fleet
from matrixfleet.errors import FleetError
from matrixfleet.model.choices import BUILT, Media

CHESS = "inventory/targets/eu1/chess-club.yml"
PROD = "inventory/targets/eu1/matrix-prod.yml"
SMALL = "inventory/classes/size/small.yml"
STANDBY = "inventory/targets/eu2/pair-standby.yml"
AP1 = "inventory/targets/ap1/platform.yml"
DNS = """\
      dns:
        name: letsencrypt-dns
        acme:
          email: ops@example.com
          dns01:
            rfc2136:
              nameserver: ns1.example.com:53
              tsigKeyName: matrix-fleet
              tsigAlgorithm: HMACSHA512
              tsigSecretSecretRef: {name: rfc2136-tsig, key: key}
"""
ROOM = "      max_connections: 200\n"
Change = Callable[[Repository], None]


def edit(path: str, old: str, new: str) -> Change:
    return lambda repository: repository.edit(path, old, new)


def add(path: str, text: str) -> Change:
    return lambda repository: repository.write(path, repository.read(path) + text)


def write(path: str, text: str) -> Change:
    return lambda repository: repository.write(path, text)


def chain(*changes: Change) -> Change:
    return lambda repository: [change(repository) for change in changes] and None


def provider(said: str) -> str:
    """One OpenID provider, at the end of a tenant's file."""
    return f"    auth:\n      kind: oidc\n      providers:\n        sso: {{{said}, client_id: m}}\n"


def backed_up(line: str, kind: str = "statefulset") -> Change:
    """matrix-prod with backups, a line beside them, and a kind of database."""

    def change(repository: Repository) -> None:
        repository.edit(PROD, "  - pattern.single-tenant\n", "  - pattern.single-tenant\n  - feature.backups\n")
        repository.edit(PROD, "      storage: 20Gi\n", f"      storage: 20Gi\n      kind: {kind}\n")
        repository.write(PROD, repository.read(PROD) + f"    {line}\n")

    return change


EU1 = "inventory/classes/cluster/eu1.yml"
CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
ARN = "arn:aws:acm:eu-central-1:123456789012:certificate/0a1b2c3d"


def edge(*lines: str) -> Change:
    """Another edge for cluster eu1."""
    old = "      controller: traefik\n      class_name: traefik\n"
    return edit(EU1, old, "".join(f"      {line}\n" for line in lines))


def istio_edge() -> Change:
    """Istio's gateway as the edge of cluster eu1."""
    old = "controller: traefik\n      class_name: traefik\n      peers:\n        - namespace: traefik\n"
    new = "controller: istio\n      peers:\n        - namespace: traefik\n          service_account: traefik\n"
    return edit(EU1, old, new)


EU1_CLASS = "inventory/classes/cluster/eu1.yml"
TENANT_C = """\
classes:
  - pattern.multi-tenant
parameters:
  matrix:
    size: small
    server_name: c.example.com
    namespace: fleet
    hosts: {matrix: c.example.com}
"""
LDAP = "ldap_auth_provider.LdapAuthProviderModule"


def module_of_release(repository: Repository) -> None:
    """A release that lists a module with a secret."""
    listed = f"      modules: {{{LDAP}: {{keys: [uri], secrets: [bind_password_file]}}}}\n"
    repository.edit("inventory/classes/release/stable.yml", "      modules: {}\n", listed)


CASES: dict[str, tuple[Change, str]] = {
    "unknown key": (
        edit(CHESS, "url_previews", "url_preview"),
        f"{CHESS}:12: matrix.synapse.url_preview: unknown key, did you mean url_previews?",
    ),
    "unknown key at the top": (
        edit(CHESS, "  matrix:\n", "  homeservr: {}\n  matrix:\n"),
        f"{CHESS}:5: homeservr: unknown key; known here: matrix, namespace",
    ),
    "wrong type": (
        edit(CHESS, "url_previews: false", "url_previews: [1]"),
        f"{CHESS}:12: matrix.synapse.url_previews: expected true or false, got [1]",
    ),
    "a mapping where a value is wanted": (
        edit(CHESS, "{url_previews: false}", "42"),
        f"{CHESS}:12: matrix.synapse: expected a mapping, got 42",
    ),
    "a value where a class before has a mapping": (
        edit(PROD, "    synapse:\n      signing_key: volume\n", "    turn: none\n"),
        f"{PROD}:17: matrix.turn: expected a mapping, as classes before set it, got a literal",
    ),
    "a size that sets a volume": (
        edit(SMALL, "        cache: 2Gi\n", "        cache: 2Gi\n        storage: 10Gi\n"),
        f"{SMALL}:13: sizes.small.media.storage: expected none in a size, got '10Gi'; a volume outlives a size: set it per tenant, matrix.media.storage",
    ),
    "a move of nothing that moves": (
        add(CHESS, '    moves: {"matrix.database.kinds": "a -> b"}\n'),
        f"{CHESS}:15: matrix.moves: expected keys as check --base names them, got 'matrix.database.kinds'; did you mean matrix.database.kind?",
    ),
    "a move of the platform in a tenant": (
        add(CHESS, '    moves: {"platform.postgresql": "cnpg -> none"}\n'),
        f"{CHESS}:15: matrix.moves: expected keys as check --base names them, got 'platform.postgresql'",
    ),
    "a move to nowhere": (
        add(CHESS, '    moves: {"matrix.database.kind": "cnpg"}\n'),
        f"{CHESS}:15: matrix.moves: expected a change as check --base prints it (WAS -> IS), got 'cnpg'",
    ),
    "bad unit of memory": (
        add(CHESS, "    media: {storage: 20GB}\n"),
        f"{CHESS}:15: matrix.media.storage: expected a size with a binary unit (Ki, Mi, Gi, Ti), got '20GB'; did you mean 20Gi?",
    ),
    "no unit of memory": (
        add(CHESS, "    media: {storage: 20}\n"),
        f"{CHESS}:15: matrix.media.storage: expected a size with a binary unit (Ki, Mi, Gi, Ti), got 20; did you mean 20Gi?",
    ),
    "bad unit of CPU": (
        edit(
            "inventory/classes/size/small.yml",
            "resources: {cpu: 250m, memory: 1Gi}\n        caches",
            "resources: {cpu: 250mm, memory: 1Gi}\n        caches",
        ),
        "inventory/classes/size/small.yml:6: matrix.synapse.resources.cpu: expected CPU in cores (2, 0.5) or millicores (500m), got '250mm'",
    ),
    "missing class": (
        edit(CHESS, "pattern.single-tenant", "pattern.single-tenan"),
        f"{CHESS}:3: classes: no class 'pattern.single-tenan' in inventory/classes, did you mean pattern.single-tenant?",
    ),
    "YAML syntax": (
        edit(CHESS, "    hosts:", "   hosts:"),
        f"{CHESS}:8: YAML syntax: while parsing a block mapping, did not find expected key; expected well-formed YAML",
    ),
    "duplicate key": (
        add(CHESS, "    server_name: other.example.org\n"),
        f"{CHESS}:15: matrix.server_name: duplicate key, first set on line 7; expected once, remove one of them",
    ),
    "undefined reference": (
        edit(CHESS, "{brand: Chess Club,", "{brand: '${matrix:server_nam}',"),
        f"{CHESS}:14: matrix.element.branding.brand: ${{matrix:server_nam}} refers to nothing that eu1.chess-club sets, did you mean matrix:server_name?",
    ),
    "a name that two tenants claim": (
        edit(CHESS, "element: chat.chess.example.org", "element: chat.example.com"),
        f"{CHESS}:10: matrix.hosts.element: host name 'chat.example.com' is eu1.matrix-prod's already ({PROD}:11); expected one tenant's alone",
    ),
    "a namespace that two tenants claim": (
        add(CHESS, "    namespace: matrix-prod-turn\n"),
        f"{CHESS}:15: matrix.namespace: namespace on cluster eu1 'matrix-prod-turn' is eu1.matrix-prod's already ({PROD}:6); expected one tenant's alone",
    ),
    "a name that the platform has": (
        lambda repository: repository.write(
            "inventory/targets/eu1/club-fence.yml", repository.read(CHESS).replace("chess", "other")
        ),
        "inventory/targets/eu1/club-fence.yml:1: expected another name than 'club-fence': its Application would be called as one"
        " of the platform's (barman-cloud, cert-manager, cloudnative-pg, platform, root) or another tenant's fence; rename the file",
    ),
    "a shared relay whose secret comes from a store": (
        chain(
            edit(
                "inventory/targets/eu1/platform.yml",
                "  - release.stable\n",
                "  - release.stable\nparameters:\n  platform:\n    turn: {host: turn.eu1.example.com}\n",
            ),
            add(
                EU1,
                "    secrets:\n      kind: vault\n      vault: {auth: vault/default}\n",
            ),
        ),
        "inventory/targets/eu1/platform.yml:6: platform.turn: a shared relay is built with cluster.secrets.kind: kubernetes"
        " alone, got vault; give each tenant a relay of its own (turn.kind), or none",
    ),
    "a name too long": (
        lambda repository: repository.write(
            f"inventory/targets/eu1/{'n' * 41}.yml", repository.read(CHESS).replace("chess", "long")
        ),
        f"inventory/targets/eu1/{'n' * 41}.yml:1: expected a target's name of 34 characters or fewer, got 41: objects are called <tenant>-<component> and Kubernetes ends labels at 63; rename the file",
    ),
    "logs that nobody keeps": (
        edit(
            "inventory/classes/cluster/us1.yml",
            "    metrics: annotations\n",
            "    metrics: annotations\n    logs: {kind: loki}\n",
        ),
        "inventory/classes/cluster/us1.yml:44: cluster.logs: expected store, since kind is loki, got 'none'",
    ),
    "logs in the clear": (
        edit("inventory/classes/cluster/ap1.yml", ".local:9200\n", ".local:9200\n        user: fleet\n"),
        "inventory/classes/cluster/ap1.yml:40: cluster.logs.store: expected an https:// address, since there is a user, got"
        " 'http://elasticsearch-es-http.elastic.svc.cluster.local:9200'; anybody on the way would read it",
    ),
    "spans without an agent": (
        edit(
            "inventory/classes/cluster/us1.yml",
            "    metrics: annotations\n",
            "    metrics: annotations\n    tracing: {kind: jaeger}\n",
        ),
        "inventory/classes/cluster/us1.yml:44: cluster.tracing: expected host, since kind is jaeger, got None",
    ),
    "alerts for nobody": (
        add(CHESS, "    alerts: {}\n"),
        f"{CHESS}:15: matrix.alerts: expected email, slack or webhook, got 'none of them'; leave alerts out, and"
        " Alertmanager's own route has them",
    ),
    "a choice that there is not": (
        add(CHESS, "    media: {kind: pvcc}\n"),
        f"{CHESS}:15: matrix.media.kind: expected one of pvc, s3, got 'pvcc', did you mean pvc?",
    ),
    "something required that is missing": (
        edit(CHESS, "    server_name: chess.example.org\n", ""),
        f"{CHESS}:5: matrix.server_name: required, and nothing sets it; The part after the colon in every user id. It can never change.",
    ),
    "impossible: TURN without a name": (
        edit(PROD, "      turn: turn.example.com\n", ""),
        f"{PROD}:6: matrix: expected hosts.turn, since turn.kind is daemonset, got 'none'; name the host that resolves to the nodes",
    ),
    "impossible: more connections than there are": (
        chain(
            add(CHESS, "    database: {max_connections: 30}\n"),
            edit(CHESS, "{url_previews: false}", "{url_previews: false, connection_pool: {max: 30}}"),
        ),
        f"{CHESS}:15: matrix.database.max_connections: expected 41 or more (main 30 + reserved 11), got 30;"
        " raise it, or lower synapse.connection_pool.max",
    ),
    "impossible: TURN with TLS on a cluster without a DNS-01 issuer": (
        edit(
            "inventory/targets/us1/research.yml",
            "    synapse:\n",
            "      turn: turn.lab.example.net\n    turn: {kind: daemonset}\n    synapse:\n",
        ),
        "inventory/targets/us1/research.yml:13: matrix.turn: turn.tls needs a DNS-01 issuer and cluster us1 has none: hosts.turn"
        " points at nodes, where no edge answers HTTP-01; set cluster.issuers.dns, or turn.tls: false",
    ),
    "impossible: TURN by deployment without its balancer's address": (
        edit(PROD, "    synapse:\n", "    turn: {kind: deployment}\n    synapse:\n"),
        f"{PROD}:17: matrix.turn: expected turn.external_address, since turn.kind is deployment, got 'none'; name the balancer's address",
    ),
    "impossible: more relay ports than a balancer takes": (
        edit(
            PROD,
            "    synapse:\n",
            "    turn: {kind: deployment, external_address: 203.0.113.9, relay_ports: {last: 50000}}\n    synapse:\n",
        ),
        f"{PROD}:17: matrix.turn: expected turn.relay_ports of 48 ports or fewer, since each is a port of the Service, got 849",
    ),
    "impossible: TURN elsewhere, nobody knows where": (
        edit(PROD, "    synapse:\n", "    turn: {kind: external}\n    synapse:\n"),
        f"{PROD}:17: matrix.turn: expected turn.external, since turn.kind is external, got 'none'; name the URIs of that service",
    ),
    "impossible: what does not go with a kind of TURN": (
        edit(PROD, "    synapse:\n", "    turn: {external_address: 203.0.113.9}\n    synapse:\n"),
        f"{PROD}:17: matrix.turn: expected beside turn.kind daemonset of turn.* only external_addresses, node_selector, port,"
        " relay_ports, resources, secret, tls, tls_port, got 'external_address'",
    ),
    "impossible: a shared TURN that there is not": (
        edit(PROD, "    synapse:\n", "    turn: {kind: shared}\n    synapse:\n"),
        f"{PROD}:17: matrix.turn.kind: shared is the platform's Coturn and cluster eu1 has none; say platform.turn in"
        " its platform target, or another kind",
    ),
    "a port within the relay's": (
        edit(PROD, "    synapse:\n", "    turn: {port: 50000}\n    synapse:\n"),
        f"{PROD}:17: matrix.turn: expected port outside of relay_ports (49152 to 65535), got 50000",
    ),
    "an address that is none": (
        edit(PROD, "    synapse:\n", "    turn: {external_addresses: {10.20.0.31: node1}}\n    synapse:\n"),
        f"{PROD}:17: matrix.turn.external_addresses.10.20.0.31: expected an IP address (203.0.113.7), got 'node1'",
    ),
    "ports that two relays want of one node": (
        chain(
            edit(CHESS, "    element:\n", "    turn: {kind: daemonset, port: 3480}\n    element:\n"),
            edit(CHESS, "    hosts:\n", "    hosts:\n      turn: turn.chess.example.org\n"),
        ),
        "inventory/classes/feature/calls.yml:4: matrix.turn: ports 5349, 49152 to 65535 of nodes are eu1.chess-club's already"
        f" ({CHESS}:14, matrix.turn); expected other ports, or a node_selector that keeps the two apart",
    ),
    "ports of a node that the platform's relay wants": (
        lambda repository: repository.write(
            "inventory/targets/eu1/platform.yml",
            repository.read("inventory/targets/eu1/platform.yml")
            + "parameters:\n  platform:\n    turn: {host: turn.example.net, tls: false}\n",
        ),
        "inventory/classes/feature/calls.yml:4: matrix.turn: ports 3478, 49152 to 65535 of nodes are eu1.platform's already"
        " (inventory/targets/eu1/platform.yml:6, platform.turn); expected other ports, or a node_selector that keeps the two apart",
    ),
    "a network with host bits": (
        edit("inventory/targets/us1/research.yml", "198.51.100.0/24", "198.51.100.7/24"),
        "inventory/targets/us1/research.yml:14: matrix.synapse.admin_api.allow[0]: expected a network in CIDR form (10.0.0.0/8), got '198.51.100.7/24'; did you mean 198.51.100.0/24?",
    ),
    "a host with a scheme": (
        edit(CHESS, "matrix: matrix.chess", "matrix: https://matrix.chess"),
        f"{CHESS}:9: matrix.hosts.matrix: expected a host name (chat.example.com), got 'https://matrix.chess.example.org'; write the name alone, without scheme or port",
    ),
    "a cluster without platform": (
        lambda repository: repository.write(
            "inventory/targets/eu2/chess-two.yml", repository.read(CHESS).replace("chess.example", "chess2.example")
        ),
        "inventory/targets/eu2/chess-two.yml:1: cluster 'eu2' has no platform target; expected inventory/targets/eu2/platform.yml",
    ),
    "a platform of another cluster": (
        lambda repository: repository.write(
            "inventory/targets/eu2/platform.yml", repository.read("inventory/targets/eu1/platform.yml")
        ),
        "inventory/classes/cluster/eu1.yml:4: cluster.name: expected 'eu2', the folder of its targets, got 'eu1'; use class cluster.eu2",
    ),
    "a release that there is not": (
        add(CHESS, "    release: stabel\n"),
        f"{CHESS}:15: matrix.release: no release 'stabel' on eu1, did you mean stable?",
    ),
    "a size that there is not": (
        edit(CHESS, "size: small", "size: smal"),
        f"{CHESS}:6: matrix.size: no size 'smal' on eu1, did you mean small?",
    ),
    "the cluster's in a tenant's file": (
        add(CHESS, "  cluster: {name: eu1}\n"),
        f"{CHESS}:15: cluster: unknown key; known here: matrix, namespace",
    ),
    "a copied target with Kapitan's old value": (
        add(CHESS, "  kapitan:\n    vars: {target: eu1.matrix-prod}\n"),
        f"{CHESS}:15: kapitan: expected none in a target's file: what runs is decided in inventory/classes/target.yml",
    ),
    "a Kapitan reference": (
        edit(CHESS, "brand: Chess Club", "brand: '?{plain:chess}'"),
        f"{CHESS}:1: expected no Kapitan reference (?{{...}}); secrets are named in the model, never inlined",
    ),
    "OIDC without providers": (
        add(CHESS, "    auth: {kind: oidc}\n"),
        f"{CHESS}:15: matrix.auth: expected providers, since kind is oidc, got 'none'",
    ),
    "providers without OIDC": (
        add(
            CHESS, "    auth: {providers: {sso: {preset: keycloak, issuer: 'https://sso.example.org', client_id: m}}}\n"
        ),
        f"{CHESS}:15: matrix.auth: expected kind: oidc, since there are providers, got 'password'",
    ),
    "two providers of one name": (
        add(
            CHESS,
            "    auth:\n      kind: oidc\n      providers:\n"
            "        sso: {preset: github, client_id: m, registration: false}\n"
            "        sso: {preset: google, client_id: m, registration: false}\n",
        ),
        f"{CHESS}:19: matrix.auth.providers.sso: duplicate key, first set on line 18; expected once, remove one of them",
    ),
    "a preset that knows its issuer": (
        add(CHESS, provider("preset: github, issuer: 'https://github.example.org', registration: false")),
        f"{CHESS}:18: matrix.auth.providers.sso: expected no issuer, since preset github knows it,"
        " got 'https://github.example.org'; or preset: generic",
    ),
    "a preset that needs its issuer": (
        add(CHESS, provider("preset: authentik")),
        f"{CHESS}:18: matrix.auth.providers.sso: expected issuer, since preset authentik may be anywhere, got 'none'",
    ),
    "Entra ID without its directory": (
        add(CHESS, provider("preset: entra")),
        f"{CHESS}:18: matrix.auth.providers.sso: expected directory, Entra ID's directory (tenant) id, got 'none'",
    ),
    "open to whoever has an account at GitHub": (
        add(CHESS, provider("preset: github")),
        f"{CHESS}:18: matrix.auth.providers.sso: expected requirements, or registration: false, since anybody has an"
        " account at github, got 'neither'; open registration has no place here",
    ),
    "a logout that never comes": (
        add(CHESS, provider("preset: google, registration: false, backchannel_logout: true")),
        f"{CHESS}:18: matrix.auth.providers.sso: expected backchannel_logout: false, since preset google sends none,"
        " got True",
    ),
    "a preset that there is not": (
        add(CHESS, provider("preset: githb")),
        f"{CHESS}:18: matrix.auth.providers.sso.preset: expected one of keycloak, entra, google, github, authentik,"
        " generic, got 'githb', did you mean github?",
    ),
    "unknown key below a name of one's own": (
        add(CHESS, provider("preset: github, registraton: false")),
        f"{CHESS}:18: matrix.auth.providers.sso.registraton: unknown key, did you mean registration?",
    ),
    "a provider in the clear": (
        add(CHESS, provider("preset: keycloak, issuer: 'http://sso.example.org/realms/main'")),
        f"{CHESS}:18: matrix.auth.providers.sso.issuer: expected an https:// address,"
        " got 'http://sso.example.org/realms/main'",
    ),
    "generic endpoints without keys": (
        add(
            CHESS,
            provider(
                "preset: generic, issuer: 'https://x.example',"
                " endpoints: {authorization: 'https://x.example/a', token: 'https://x.example/t'}"
            ),
        ),
        f"{CHESS}:18: matrix.auth.providers.sso: expected endpoints.jwks, since the scope openid is asked for, got 'none'",
    ),
    "no password and no provider": (
        add(CHESS, "    auth: {password: false}\n"),
        f"{CHESS}:15: matrix.auth: expected password: true, since no provider lets anybody in, got False",
    ),
    "a canary that has no way in": (
        add("inventory/targets/us1/research.yml", "    probes: {canary: true}\n"),
        "inventory/targets/us1/research.yml:7: matrix: expected probes.canary: false, since auth.password is off,"
        " got True; nobody clicks through a provider's pages every five minutes",
    ),
    "accounts with passwords where there are none": (
        edit(
            "inventory/targets/us1/research.yml",
            "password: false",
            "password: false\n      registration: {tokens: true}",
        ),
        "inventory/targets/us1/research.yml:15: matrix.auth: expected registration.tokens: false,"
        " since such accounts have a password, got True",
    ),
    "open registration": (
        add(CHESS, "    auth: {registration: {enabled: true}}\n"),
        f"{CHESS}:15: matrix.auth.registration.enabled: unknown key; known here: shared_secret, tokens",
    ),
    "a mail password in the clear": (
        add(CHESS, "    email: {host: mail.example.org, security: none, user: chess, sender: chess@example.org}\n"),
        f"{CHESS}:15: matrix.email: expected security: starttls or implicit, since there is a user, got 'none';"
        " anybody on the way would read the password",
    ),
    "a mail password in the inventory": (
        add(CHESS, "    email: {host: mail.example.org, user: chess, password: x, sender: chess@example.org}\n"),
        f"{CHESS}:15: matrix.email.password: unknown key;"
        " known here: ca, generation, host, port, reach, security, sender, user",
    ),
    "a text that Synapse cannot fill in": (
        add(CHESS, "    consent: {version: '1', text: Be kind, block: '100% of you must agree'}\n"),
        f"{CHESS}:15: matrix.consent: expected block without % but in %(consent_uri)s, got '100% of you must agree'",
    ),
    "a bridge that is nowhere": (
        add(CHESS, "    appservices: {irc: {reach: [{namespace: irc, port: 8090}]}}\n"),
        f"{CHESS}:15: matrix.appservices.irc.reach[0]: expected pods: the labels of the Pods in that namespace, got 'none'",
    ),
    "a retention that contradicts itself": (
        add(CHESS, "    retention: {messages: {at_least: 2d, at_most: 36h}}\n"),
        f"{CHESS}:15: matrix.retention.messages: expected at_least no more than at_most (36h), got '2d'",
    ),
    "a retention without a unit": (
        add(CHESS, "    retention: {remote_media: 30}\n"),
        f"{CHESS}:15: matrix.retention.remote_media: expected a duration with a unit (s, m, h, d, w, y), got 30;"
        " did you mean 30s?",
    ),
    "an edge without its class": (
        edge("controller: nginx"),
        f"{EU1}:7: cluster.edge: expected class_name, since controller is nginx, got 'none'",
    ),
    "another edge's key": (
        edge("controller: haproxy", "class_name: haproxy", "https_entrypoint: websecure"),
        f"{EU1}:7: cluster.edge: expected controller: traefik, since https_entrypoint is said, got 'haproxy'",
    ),
    "port 8448 where there is one port": (
        edge("controller: haproxy", "class_name: haproxy", "federation_on_8448: true"),
        f"{EU1}:7: cluster.edge: expected federation_on_8448: false, got True; HAProxy Ingress has one HTTPS port for all Ingresses",
    ),
    "port 8448 of somebody else's Gateway": (
        edge(
            "controller: gateway-api",
            "class_name: envoy",
            "federation_on_8448: true",
            "gateway: {namespace: gateways, name: public}",
        ),
        f"{EU1}:7: cluster.edge: expected federation_on_8448: false, got True; whoever owns the Gateway adds a listener; name it in gateway.https_listeners",
    ),
    "Istio without its CNI node agent": (
        add(EU1, "    mesh: istio\n    istio: {cni: false}\n"),
        f"{EU1}:63: cluster.istio: expected istio.cni: true, got False; without Istio's CNI node agent injected Pods break Pod Security restricted; install it, then say so",
    ),
    "a mesh that nobody describes": (
        add(EU1, "    mesh: istio\n"),
        f"{EU1}:3: cluster: expected istio, since mesh is istio, got 'none'; istio: {{cni: true}}, where its CNI node agent runs",
    ),
    "a tenant in a mesh that there is not": (
        add(CHESS, "    mesh: istio\n"),
        f"{CHESS}:15: matrix.mesh: cluster eu1 has no Istio; say cluster.istio, or mesh: none",
    ),
    "an identity without a namespace": (
        edit(
            EU1,
            "        - namespace: traefik\n",
            "        - cidrs: [192.0.2.0/28]\n          service_account: traefik\n        - namespace: traefik\n",
        ),
        f"{EU1}:11: cluster.edge.peers[0]: expected namespace, since service_account is said, got 'none'",
    ),
    "Istio's edge without an identity": (
        edge("controller: istio", "class_name: istio"),
        f"{EU1}:7: cluster.edge: expected peers: the gateway's Pods alone, with their service_account, since controller is istio, got 'none with service_account'; tenants' Gateways select these Pods, and certificates lie beside them",
    ),
    "Istio's edge without Istio": (
        istio_edge(),
        f"{EU1}:3: cluster: expected istio, since edge.controller is istio, got 'none'; istio: {{cni: true}}, where its CNI node agent runs",
    ),
    "HTTP-01 by Istio's edge": (
        chain(istio_edge(), add(EU1, "    istio: {cni: true}\n")),
        f"{EU1}:3: cluster: expected issuers.web.acme.dns01, since edge.controller is istio, got 'HTTP-01'; the gateway sends the authority on to HTTPS, for which there is no certificate yet",
    ),
    "a Gateway of an edge that has none": (
        edge("controller: haproxy", "class_name: haproxy", "gateway: {namespace: gateways, name: public}"),
        f"{EU1}:7: cluster.edge: expected controller: gateway-api or istio, since gateway is said, got 'haproxy'",
    ),
    "a load balancer without a certificate": (
        edge("controller: aws-alb", "class_name: alb"),
        f"{EU1}:7: cluster.edge: expected either certificate_arns or certificate_discovery: true, since controller is aws-alb, got 'neither of them'",
    ),
    "a load balancer with two kinds of certificate": (
        edge("controller: aws-alb", "class_name: alb", "certificate_discovery: true", f"certificate_arns: ['{ARN}']"),
        f"{EU1}:7: cluster.edge: expected either certificate_arns or certificate_discovery: true, since controller is aws-alb, got 'both'",
    ),
    "something else than a certificate's ARN": (
        edge("controller: aws-alb", "class_name: alb", "certificate_arns: [letsencrypt]"),
        f"{EU1}:10: cluster.edge.certificate_arns[0]: expected the ARN of a certificate (arn:aws:acm:<region>:<account>:certificate/<id>), got 'letsencrypt'",
    ),
    "Google's balancer without its second entry": (
        edge("controller: gke", "class_name: gce"),
        f"{EU1}:7: cluster.edge: expected trusted_hops of 2 or more, since controller is gke, got 1; its load balancer appends the client's address and its own",
    ),
    "a solver that no request reaches": (
        edge("controller: nginx", "class_name: nginx"),
        f"{EU1}:3: cluster: expected issuers.web.acme.dns01, since edge.controller is nginx, got 'HTTP-01'; a host of two Ingresses is a collision there, and the solver's Ingress loses",
    ),
    "impossible: CloudNativePG where there is none": (
        chain(
            edit(EU1_CLASS, "      cloudnative_pg: {provision: managed, barman_cloud: true}\n", ""),
        ),
        "inventory/classes/pattern/high-availability.yml:20: matrix.database.kind: it takes CloudNativePG and cluster eu1 has none;"
        " say cluster.operators.cloudnative_pg, or database.kind: statefulset",
    ),
    "CloudNativePG that is there, without its version": (
        edit(EU1_CLASS, "{provision: managed, barman_cloud: true}", "{barman_cloud: true}"),
        f"{EU1_CLASS}:42: cluster.operators.cloudnative_pg: expected the version of the operator that is there, got 'none'",
    ),
    "CloudNativePG that lets a database's owner become a superuser": (
        edit(EU1_CLASS, "{provision: managed, barman_cloud: true}", "{version: 1.29.1, barman_cloud: true}"),
        f"{EU1_CLASS}:42: cluster.operators.cloudnative_pg.version: expected CloudNativePG 1.30.0, as release stable has it, or"
        " newer, got 1.29.1; update the operator first",
    ),
    "a chart that does not support the release's Kubernetes": (
        edit(
            "inventory/classes/release/stable.yml",
            'kubernetes: {first: "1.34", last: "1.36"}',
            'kubernetes: {first: "1.34", last: "1.38"}',
        ),
        "inventory/classes/release/stable.yml:6: releases.stable: expected charts that support Kubernetes 1.34 to 1.38, got"
        " 'charts.cloudnative_pg 0.29.0, which supports 1.31 to 1.37'",
    ),
    "impossible: a shared PostgreSQL that there is not": (
        add(CHESS, "    database: {kind: shared}\n"),
        f"{CHESS}:15: matrix.database.kind: shared is the platform's PostgreSQL and cluster eu1 has none; say"
        " platform.postgresql in its platform target, or another kind",
    ),
    "impossible: a shared pooler that there is not": (
        add("inventory/targets/ap1/tenant-a.yml", "    database: {pooling: pgbouncer}\n"),
        "inventory/targets/ap1/tenant-a.yml:10: matrix.database.pooling: the shared server has no pooler; say"
        " platform.postgresql.pooling: pgbouncer, or none here",
    ),
    "impossible: more connections of all tenants than the shared server has": (
        chain(
            edit("inventory/targets/ap1/platform.yml", "max_connections: 200", "max_connections: 60"),
            add(
                "inventory/targets/ap1/tenant-a.yml",
                "    synapse: {connection_pool: {max: 60}}\n    database: {max_connections: 100}\n",
            ),
        ),
        "inventory/targets/ap1/platform.yml:16: platform.postgresql.max_connections: expected 71 or more (tenant-a 60 + reserved 11),"
        " got 60; raise it, or lower synapse.connection_pool.max of the tenants",
    ),
    "impossible: a shared PostgreSQL whose passwords come from a store": (
        edit(
            "inventory/classes/cluster/ap1.yml",
            "    operators:\n",
            "    secrets: {kind: vault, vault: {auth: a/b}}\n    operators:\n",
        ),
        "inventory/targets/ap1/platform.yml:6: platform.turn: a shared relay is built with cluster.secrets.kind: kubernetes alone,"
        " got vault; give each tenant a relay of its own (turn.kind), or none",
    ),
    "a database elsewhere, nobody knows where": (
        add(CHESS, "    database: {kind: external}\n"),
        f"{CHESS}:15: matrix.database: expected external, since kind is external, got 'none'",
    ),
    "an authority that is no certificate": (
        add(CHESS, "    database: {kind: external, external: {host: db.example.net, ca: letsencrypt}}\n"),
        f"{CHESS}:15: matrix.database.external.ca: expected certificates in PEM (-----BEGIN CERTIFICATE----- ...), got 'letsencrypt'",
    ),
    "instances of what has one": (
        add(CHESS, "    database: {instances: 3}\n"),
        f"{CHESS}:15: matrix.database: expected kind: cnpg, since instances is said, got 'statefulset'",
    ),
    "a pooler that nobody asked for": (
        add(CHESS, "    database: {pgbouncer: {replicas: 2}}\n"),
        f"{CHESS}:15: matrix.database: expected pooling: pgbouncer, since pgbouncer is said, got 'none'",
    ),
    "media in a bucket, nobody knows which": (
        add(CHESS, "    media: {kind: s3}\n"),
        f"{CHESS}:15: matrix.media: expected s3, since kind is s3, got 'none'",
    ),
    "a bucket beside a volume": (
        add(CHESS, "    media: {s3: {region: eu-west-1, bucket: media}}\n"),
        f"{CHESS}:15: matrix.media: expected kind: s3, since s3 is said, got 'pvc'",
    ),
    "a bucket that cannot be": (
        add(CHESS, "    media: {kind: s3, s3: {region: eu-west-1, bucket: My_Media}}\n"),
        f"{CHESS}:15: matrix.media.s3.bucket: expected a bucket's name (3 to 63 of a-z, 0-9, '.', '-'), got 'My_Media'",
    ),
    "a prefix of several folders": (
        add(CHESS, "    media: {kind: s3, s3: {region: eu-west-1, bucket: media, prefix: a/b}}\n"),
        f"{CHESS}:15: matrix.media.s3.prefix: expected one word without slashes (chat.example.com), got 'a/b'",
    ),
    "an authority of nothing": (
        add(CHESS, f"    media: {{kind: s3, s3: {{region: eu-west-1, bucket: media, ca: {json.dumps(CA)}}}}}\n"),
        f"{CHESS}:15: matrix.media.s3: expected endpoint, since ca is said, got 'none'; Amazon's own certificates are trusted already",
    ),
    "a cache that an upload fills": (
        add(CHESS, "    media: {kind: s3, cache: 100Mi, s3: {region: eu-west-1, bucket: media}}\n"),
        f"{CHESS}:5: matrix: expected media.cache of four times synapse.max_upload_size (50Mi) or more, got '100Mi'; uploads pass through it",
    ),
    "two media workers on one volume": (
        add(CHESS, "    workers: {media_repository: {replicas: 2}}\n"),
        f"{CHESS}:5: matrix: expected workers.media_repository.replicas of 0 or 1, since media.kind is pvc, got 2;"
        " a volume is mounted by one Pod; media.kind: s3 takes several",
    ),
    "an endpoint whose port cannot be": (
        add(CHESS, "    media: {kind: s3, s3: {endpoint: 'https://minio:90000', region: eu-west-1, bucket: media}}\n"),
        f"{CHESS}:15: matrix.media.s3.endpoint: expected an https:// address, got 'https://minio:90000'; a host name or an address in its usual spelling, a port from 1 to 65535, no encoded control characters",
    ),
    "two tenants in one part of a bucket, by another name of Amazon's": (
        add(
            CHESS,
            "    media: {kind: s3, s3: {endpoint: 'https://S3.us-east-1.amazonaws.com:443/', region: us-east-1,"
            " bucket: matrix-fleet-media, prefix: newsroom.example.org}}\n",
        ),
        f"{CHESS}:15: matrix.media.s3: bucket's part 'Amazon/matrix-fleet-media/newsroom.example.org'"
        " is us1.newsroom's already (inventory/targets/us1/newsroom.yml:16); expected one tenant's alone",
    ),
    "two tenants in one part of a bucket": (
        add(
            CHESS,
            "    media: {kind: s3, s3: {region: us-east-1, bucket: matrix-fleet-media, prefix: newsroom.example.org}}\n",
        ),
        f"{CHESS}:15: matrix.media.s3: bucket's part 'Amazon/matrix-fleet-media/newsroom.example.org'"
        " is us1.newsroom's already (inventory/targets/us1/newsroom.yml:16); expected one tenant's alone",
    ),
    "a PriorityClass that there is not": (
        add(CHESS, "    priority_class: matrix-hihg\n"),
        f"{CHESS}:15: matrix.priority_class: no PriorityClass 'matrix-hihg' on eu1, did you mean matrix-high?;"
        " cluster.priority_classes names them",
    ),
    "a namespace that is two targets'": (
        lambda repository: repository.write("inventory/targets/ap1/tenant-c.yml", TENANT_C),
        "inventory/targets/ap1/tenant-c.yml:7: matrix.namespace: namespace 'fleet' is reserved: fleet is used by Kubernetes, an operator"
        " or a provider; expected a namespace of its own; name another",
    ),
    "an archiver of dumps": (
        backed_up("backup: {kind: dumps, archiver: wal-g}"),
        f"{PROD}:22: matrix.backup: expected kind: point-in-time, since archiver is said, got 'dumps'",
    ),
    "an archiver without backups": (
        add(CHESS, "    backup: {archiver: wal-g}\n"),
        f"{CHESS}:15: matrix.backup: expected kind: dumps or point-in-time, since archiver is said, got 'none'",
    ),
    "an archiver that nobody knows": (
        backed_up("backup: {archiver: walg}"),
        f"{PROD}:22: matrix.backup.archiver: expected one of pgbackrest, wal-g, got 'walg', did you mean wal-g?",
    ),
    "an archiver of an operator's server": (
        backed_up("backup: {archiver: wal-g}", kind="cnpg"),
        f"{PROD}:7: matrix: expected database.kind: statefulset, since backup.archiver is said, got 'cnpg';"
        " CloudNativePG archives by the Barman Cloud plugin",
    ),
    "a restore of what runs": (
        backed_up("restore: {name: again}"),
        f"{PROD}:7: matrix: expected state: stopped, since restore is said, got 'running'; first a change that stops it, then the restore",
    ),
    "a restore from what there is not": (
        add(CHESS, "    state: stopped\n    restore: {name: again}\n"),
        f"{CHESS}:5: matrix: expected backup.kind: point-in-time, since restore.source is archive, got 'none'",
    ),
    "a restore of an operator's server": (
        backed_up("state: stopped\n    restore: {name: again}", kind="cnpg"),
        f"{PROD}:7: matrix: expected restore.source: dump, since database.kind is cnpg, got 'archive'; to a moment it is restored by the tenant's page recovery.md",
    ),
    "a moment without its zone": (
        backed_up("state: stopped\n    restore: {name: again, until: 2026-03-01T14:05:00}"),
        f"{PROD}:23: matrix.restore.until: expected a moment with its zone, in quotes (2026-03-01T14:05:00Z), got '2026-03-01T14:05:00'",
    ),
    "a timeline of a dump": (
        backed_up("state: stopped\n    restore: {name: again, source: dump, timeline: 2}"),
        f"{PROD}:23: matrix.restore: expected source: archive, since timeline is said, got 'dump'; a dump has none",
    ),
    "a timeline without a moment": (
        backed_up("state: stopped\n    restore: {name: again, timeline: 2}"),
        f"{PROD}:23: matrix.restore: expected until, since timeline is said, got 'none'; the newest base backup may be of another timeline",
    ),
    "media whose backup is in its own bucket": (
        chain(with_standby, edit(PAIR, "bucket: matrix-media-pair", "bucket: matrix-backups-group")),
        f"{PAIR}:5: matrix: expected backup.bucket in another bucket than media.s3, got 'matrix-backups-group'; a bucket is no backup of itself",
    ),
    "a homeserver on two clusters without DNS-01": (
        chain(with_standby, edit("inventory/classes/cluster/eu2.yml", DNS, "")),
        f"{PAIR}:6: matrix.active: it takes a DNS-01 issuer and cluster eu2 has none: a standby's certificates are signed"
        " while its names lead elsewhere; set cluster.issuers.dns",
    ),
    "two homeservers of one name": (
        chain(with_standby, add(STANDBY, "parameters: {matrix: {active: eu2}}\n")),
        f"{PAIR}:8: matrix.server_name: host name 'pair.example.com' is eu1.pair's already ({PAIR}:8);"
        " expected one tenant's alone, or the same matrix.active in both, on two clusters",
    ),
    "a homeserver twice on one cluster": (
        chain(with_standby, write("inventory/targets/eu1/again.yml", "classes: [homeserver.pair]\n")),
        f"{PAIR}:8: matrix.server_name: host name 'pair.example.com' is eu1.again's already ({PAIR}:8);"
        " expected one tenant's alone, or the same matrix.active in both, on two clusters",
    ),
    "active where it is not": (
        chain(with_standby, edit(PAIR, "active: eu1", "active: eu3")),
        f"{PAIR}:6: matrix.active: no target of this homeserver on cluster 'eu3'; expected one of eu1, eu2",
    ),
    "a standby that follows another bucket": (
        chain(with_standby, add(STANDBY, "parameters: {matrix: {backup: {bucket: {bucket: another}}}}\n")),
        f"{STANDBY}:3: matrix.backup.bucket.bucket: expected 'matrix-backups-group', as eu1.pair has it, got 'another';"
        " its database follows that archive",
    ),
    "a standby that is called as the active one": (
        chain(
            with_standby,
            write("inventory/targets/eu2/pair.yml", "classes: [homeserver.pair]\n"),
            lambda repository: (repository.top / STANDBY).unlink(),
        ),
        "inventory/targets/eu2/pair.yml:1: expected another name than 'pair', which is eu1.pair's: archives are called by it; rename the file",
    ),
    "a standby whose media is on a volume": (
        chain(with_standby, edit(PAIR, MEDIA, "media: {}")),
        f"{PAIR}:5: matrix: expected media.kind: s3, since active is said, got 'pvc'; a standby cannot mount another cluster's volume",
    ),
    "a restore of a standby": (
        chain(
            with_standby, add(STANDBY, "parameters: {matrix: {state: stopped, restore: {name: again, source: dump}}}\n")
        ),
        f"{STANDBY}:3: matrix.restore: a standby has what eu1 archives; restore there, or make it active",
    ),
    "an archive of the platform's without the plugin": (
        edit(AP1, ROOM, f"{ROOM}      archive: {{bucket: {{region: one, bucket: platform}}}}\n"),
        f"{AP1}:17: platform.postgresql.archive: an archive with CloudNativePG takes the Barman Cloud plugin and cluster ap1 has none;"
        " install it and say cluster.operators.cloudnative_pg.barman_cloud: true, or do without",
    ),
    "signing keys at rest in the clear": (
        edit("inventory/classes/cluster/us1.yml", "gp3-encrypted, encrypted: true", "gp3"),
        "inventory/classes/cluster/us1.yml:28: cluster.storage: expected storage.signing_key.encrypted: true, got False; a signing key at rest is the server's identity",
    ),
    "a certificate that is looked for, in a load balancer of many": (
        edit(
            "inventory/classes/cluster/us1.yml",
            'certificate_arns: ["arn:aws:acm:us-east-1:123456789012:certificate/6f1d2c3b-0a4e-4c1d-9b7f-2e5a8c9d0e1f"]',
            "certificate_discovery: true",
        ),
        "inventory/classes/cluster/us1.yml:9: cluster.edge: expected certificate_arns, since load_balancer_group is said, got 'certificate_discovery'; a host for which no certificate is found stops the changes of every tenant of the group",
    ),
    "an SSL policy of another edge's": (
        edit(EU1, "      pod_ports: [8443]\n", "      ssl_policy: modern\n"),
        f"{EU1}:7: cluster.edge: expected controller: gke, since ssl_policy is said, got 'traefik'",
    ),
    "a module with a secret and no id": (
        chain(module_of_release, add(CHESS, f"    modules: [{{module: {LDAP}, secrets: [bind_password_file]}}]\n")),
        f"{CHESS}:15: matrix.modules[0]: expected id, since secrets is said, got 'none'; a short name (ldap)",
    ),
    "a module that reaches somewhere and has no id": (
        chain(
            module_of_release,
            add(CHESS, f"    modules: [{{module: {LDAP}, reach: [{{cidrs: [10.8.7.1/32], port: 636}}]}}]\n"),
        ),
        f"{CHESS}:15: matrix.modules[0]: expected id, since reach is said, got 'none'; a short name (ldap)",
    ),
    "a module's secret in the inventory too": (
        chain(
            module_of_release,
            add(
                CHESS,
                f"    modules: [{{module: {LDAP}, id: ldap, secrets: [bind_password_file], config: {{bind_password_file: /a}}}}]\n",
            ),
        ),
        f"{CHESS}:15: matrix.modules[0]: expected bind_password_file in secrets or in config, got 'both'; its file's path is filled in",
    ),
    "a module's secret that the release does not list": (
        chain(
            module_of_release,
            add(CHESS, f"    modules: [{{module: {LDAP}, id: ldap, secrets: [bind_password_fil]}}]\n"),
        ),
        f"{CHESS}:15: matrix.modules[0].secrets[0]: no key of {LDAP} in release stable that names a file with a secret: 'bind_password_fil', did you mean bind_password_file?",
    ),
    "two modules of one id": (
        chain(
            module_of_release,
            add(CHESS, f"    modules: [{{module: {LDAP}, id: ldap}}, {{module: {LDAP}, id: ldap}}]\n"),
        ),
        f"{CHESS}:15: matrix.modules[0].id: expected an id for each, got 'ldap' twice",
    ),
    "logs in the clear with an authority": (
        edit(
            EU1,
            "        address: http://loki-gateway.loki.svc.cluster.local\n",
            f"        address: http://loki-gateway.loki.svc.cluster.local\n        ca: {json.dumps(CA)}\n",
        ),
        f"{EU1}:45: cluster.logs.store: expected an https:// address, since ca is said, got 'http://loki-gateway.loki.svc.cluster.local'",
    ),
    "restore tests on volumes that are kept": (
        edit(
            "inventory/classes/cluster/us1.yml",
            "logs: {name: gp3}",
            "logs: {name: gp3}\n      scratch: {name: gp3, provisioner: ebs.csi.aws.com}",
        ),
        "inventory/classes/cluster/us1.yml:28: cluster.storage: expected storage.scratch.name: another class than those that are kept, got 'gp3'; a class that the platform makes for volumes that are kept has reclaimPolicy: Retain",
    ),
    "Element Web under the homeserver's name": (
        edit(CHESS, "element: chat.chess", "element: matrix.chess"),
        "inventory/targets/eu1/chess-club.yml:8: matrix.hosts: expected element other than matrix, got 'matrix.chess.example.org'; each is served by something else",
    ),
    "a relay under the homeserver's name": (
        edit(PROD, "turn: turn.example.com", "turn: matrix.example.com"),
        "inventory/targets/eu1/matrix-prod.yml:9: matrix.hosts: expected turn other than matrix, got 'matrix.example.com'; each is served by something else",
    ),
    "a relay under Element Web's name": (
        edit(PROD, "turn: turn.example.com", "turn: chat.example.com"),
        "inventory/targets/eu1/matrix-prod.yml:9: matrix.hosts: expected turn other than element, got 'chat.example.com'; each is served by something else",
    ),
    "a relay under a name that the edge serves": (
        edit(PROD, "turn: turn.example.com", "turn: example.com"),
        "inventory/targets/eu1/matrix-prod.yml:6: matrix: expected hosts.turn other than server_name, got 'example.com'; the edge serves /.well-known/matrix on server_name; name another host, or well_known.serve: false",
    ),
    "two things of the platform's under one name": (
        edit(AP1, "host: element.example.com", "host: turn.ap1.example.com"),
        "inventory/targets/ap1/platform.yml:5: platform: expected turn.host other than element.host, got 'turn.ap1.example.com'; each is served by something else",
    ),
    "a homeserver under the platform's Element Web": (
        edit(AP1, "homeserver: https://a.matrix.example.com", "homeserver: https://element.example.com"),
        "inventory/targets/ap1/platform.yml:9: platform.element: expected homeserver other than host, got 'https://element.example.com'; each is served by something else",
    ),
    "an address as a host": (
        edit(CHESS, "element: chat.chess.example.org", "element: 192.0.2.7"),
        "inventory/targets/eu1/chess-club.yml:10: matrix.hosts.element: expected a host name (chat.example.com), got '192.0.2.7'",
    ),
    "a label of 64 letters": (
        edit(CHESS, "element: chat.chess", f"element: {64 * chr(97)}"),
        "inventory/targets/eu1/chess-club.yml:10: matrix.hosts.element: expected a host name (chat.example.com), got 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example.org'",
    ),
    "a minute that no hour has": (
        backed_up("backup: {schedule: '61 2 * * *'}"),
        "inventory/targets/eu1/matrix-prod.yml:22: matrix.backup.schedule: expected five fields of cron (17 2 * * *), got '61 2 * * *'; the minute is 0 to 59, the smaller number first",
    ),
    "a day that no year has": (
        backed_up("backup: {schedule: '1 2 30 2 *'}"),
        "inventory/targets/eu1/matrix-prod.yml:22: matrix.backup.schedule: expected five fields of cron (17 2 * * *), got '1 2 30 2 *'; no year has such a day",
    ),
    "a step of nothing": (
        backed_up("backup: {schedule: '*/0 2 * * *'}"),
        "inventory/targets/eu1/matrix-prod.yml:22: matrix.backup.schedule: expected five fields of cron (17 2 * * *), got '*/0 2 * * *'; a step of the minute is 1 to 59",
    ),
    "a range from late to early": (
        backed_up("backup: {schedule: '1 5-2 * * *'}"),
        "inventory/targets/eu1/matrix-prod.yml:22: matrix.backup.schedule: expected five fields of cron (17 2 * * *), got '1 5-2 * * *'; the hour is 0 to 23, the smaller number first",
    ),
    "a day of the week that Kubernetes does not know": (
        backed_up("backup: {drill: '1 5 * * 7'}"),
        "inventory/targets/eu1/matrix-prod.yml:22: matrix.backup.drill: expected five fields of cron (17 2 * * *), got '1 5 * * 7'; the day of week is 0 to 6, the smaller number first",
    ),
    "dumps on workdays": (
        backed_up("backup: {schedule: '1 5 * * 1-5'}"),
        "inventory/targets/eu1/matrix-prod.yml:22: matrix.backup.schedule: expected a run every 2 days or more often, got '1 5 * * 1-5'; a restore loses what was written since the last",
    ),
    "a drill a month": (
        backed_up("backup: {drill: '1 5 1 * *'}"),
        "inventory/targets/eu1/matrix-prod.yml:22: matrix.backup.drill: expected a run every 8 days or more often, got '1 5 1 * *'; an alert fires for drills that are older",
    ),
    "nothing as a size": (
        add(CHESS, "    media: {storage: 0Gi}\n"),
        "inventory/targets/eu1/chess-club.yml:15: matrix.media.storage: expected 1Mi or more, got '0Gi'",
    ),
    "a fraction that rounds to nothing": (
        add(CHESS, "    media: {storage: 0.0001Gi}\n"),
        "inventory/targets/eu1/chess-club.yml:15: matrix.media.storage: expected 1Mi or more, got '0.0001Gi'",
    ),
    "no CPU": (
        add(CHESS, "    router: {resources: {cpu: 0, memory: 128Mi}}\n"),
        "inventory/targets/eu1/chess-club.yml:15: matrix.router.resources.cpu: expected 1m CPU or more, got '0'",
    ),
    "a router without room": (
        add(CHESS, "    router: {resources: {cpu: 100m, memory: 16Mi}}\n"),
        "inventory/targets/eu1/chess-club.yml:15: matrix.router.resources.memory: expected memory for 400 to 500000 connections (48Mi to 19Gi), got room for -410",
    ),
    "a PostgreSQL without room": (
        add(CHESS, "    database: {resources: {memory: 8Mi}}\n"),
        "inventory/targets/eu1/chess-club.yml:15: matrix.database.resources: expected memory of 256Mi or more, got '8Mi'; with less the program does not start",
    ),
    "a worker without room": (
        add(CHESS, "    workers: {generic: {replicas: 1, resources: {memory: 64Mi}}}\n"),
        "inventory/targets/eu1/chess-club.yml:15: matrix.workers.generic.resources.memory: expected 256Mi or more, got '64Mi'; an idle process of Synapse takes 250Mi",
    ),
    "a volume that one upload fills": (
        chain(
            add(CHESS, "    media: {storage: 1Gi}\n"), edit(CHESS, "{url_previews: false}", "{max_upload_size: 1Gi}")
        ),
        "inventory/targets/eu1/chess-club.yml:5: matrix: expected media.storage of four times synapse.max_upload_size (1Gi) or more, got '1Gi'",
    ),
    "a retention of nothing": (
        add(CHESS, "    retention: {remote_media: 0d}\n"),
        "inventory/targets/eu1/chess-club.yml:15: matrix.retention.remote_media: expected 1s or more, got '0d'; leave the key out for no limit",
    ),
    "a second bucket that is the first, written otherwise": (
        backed_up(
            "backup: {second: {endpoint: 'https://s3.nbg.example.net:443/', region: nbg, bucket: matrix-backups}}"
        ),
        "inventory/targets/eu1/matrix-prod.yml:22: matrix.backup: expected second in another bucket than matrix-backups, got 'matrix-backups'",
    ),
    "a recipient twice": (
        backed_up(
            "backup: {recipients: ['age1h4lhdj54sl3x6ay3kawlg7ds53yd9955c584ddjsz220p9hd8ykqjdr97r', 'age1h4lhdj54sl3x6ay3kawlg7ds53yd9955c584ddjsz220p9hd8ykqjdr97r']}"
        ),
        "inventory/targets/eu1/matrix-prod.yml:22: matrix.backup: expected recipients, each once, got 'age1h4lhdj54sl3x6ay3kawlg7ds53yd9955c584ddjsz220p9hd8ykqjdr97r'; it is there twice",
    ),
    "a recipient with a wrong letter": (
        backed_up(
            "backup: {recipients: ['age1h4lhdj54sl3x6ay3kawlg7ds53yd9955c584ddjsz220p9hd8ykqjdr97q', 'age1h4lhdj54sl3x6ay3kawlg7ds53yd9955c584ddjsz220p9hd8ykqjdr97r']}"
        ),
        "inventory/targets/eu1/matrix-prod.yml:22: matrix.backup.recipients[0]: expected a recipient of age (age1..., as age-keygen prints it), got 'age1h4lhdj54sl3x6ay3kawlg7ds53yd9955c584ddjsz220p9hd8ykqjdr97q'; its checksum is wrong: a letter was lost or changed on the way",
    ),
    "a repository that no registry has": (
        edit("inventory/classes/release/stable.yml", "ghcr.io/element-hq/synapse", "ghcr.io/element-hq//synapse"),
        "inventory/classes/release/stable.yml:9: releases.stable.images.synapse.repository: expected REGISTRY/PATH in lower case, without tag and digest, got 'ghcr.io/element-hq//synapse'",
    ),
    "a relay on a port of the node": (
        edit(PROD, "    synapse:\n", "    turn: {port: 22}\n    synapse:\n"),
        "inventory/targets/eu1/matrix-prod.yml:17: matrix.turn: expected port without 22, which is SSH's, got 22",
    ),
    "a relay on ports of Services": (
        edit(PROD, "    synapse:\n", "    turn: {relay_ports: {first: 30000, last: 31000}}\n    synapse:\n"),
        "inventory/targets/eu1/matrix-prod.yml:17: matrix.turn: expected relay_ports without 30000 to 32767, which is of Services (NodePort), got '30000 to 31000'",
    ),
    "a relay behind a balancer on a port of its own": (
        edit(
            PROD,
            "    synapse:\n",
            "    turn: {kind: deployment, external_address: 203.0.113.9, port: 443, relay_ports: {first: 3470, last: 3480}}\n    synapse:\n",
        ),
        "inventory/targets/eu1/matrix-prod.yml:17: matrix.turn: expected relay_ports without 3478, which is Coturn's own, got '3470 to 3480'",
    ),
    "a folder above": (
        add(CHESS, "    media: {kind: s3, s3: {region: eu-west-1, bucket: media, prefix: ..}}\n"),
        "inventory/targets/eu1/chess-club.yml:15: matrix.media.s3.prefix: expected one word without slashes (chat.example.com), got '..'",
    ),
    "a label that Kubernetes refuses": (
        edit(EU1, "pods: {k8s-app: kube-dns}", "pods: {k8s-app: kube dns}"),
        "inventory/classes/cluster/eu1.yml:18: cluster.network.dns[0].pods.k8s-app: expected the value of a label (letters, digits, '-', '_' and '.', 63 at most), got 'kube dns'",
    ),
    "a priority that Kubernetes keeps": (
        edit(EU1, "matrix-high: 100000", "matrix-high: 2000000000"),
        "inventory/classes/cluster/eu1.yml:50: cluster.priority_classes.matrix-high: expected less than or equal to 1000000000, got 2000000000",
    ),
    "an id too long": (
        add(CHESS, f"    appservices: {{{40 * chr(97)}: {{}}}}\n"),
        "inventory/targets/eu1/chess-club.yml:15: matrix.appservices.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: expected a name of 32 characters or fewer, got 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'; it is part of the names of objects and volumes",
    ),
    "classes that are no list": (
        write("inventory/classes/platform.yml", "classes: size.small\n"),
        "inventory/classes/platform.yml:1: classes: expected a list, got 'size.small'; did you mean [size.small]?",
    ),
    "a class that is a mapping": (
        edit("inventory/classes/platform.yml", "  - size.small\n", "  - size: small\n"),
        "inventory/classes/platform.yml:3: classes[0]: expected a class's name, got something else",
    ),
    "a class's file with another word": (
        write("inventory/classes/feature/x.yml", "parametres: {}\n"),
        "inventory/classes/feature/x.yml:1: parametres: expected classes and parameters alone in a class's file, did you mean parameters?",
    ),
    "a copy of a class": (
        write("inventory/classes/size/small.bak.yml", "parameters: {}\n"),
        "inventory/classes/size/small.bak.yml: expected the name of a class without dots, got 'small.bak'; rename the file, or remove a copy",
    ),
    "a copy of a target": (
        write("inventory/targets/eu1/chess-club.bak.yml", "parameters: {}\n"),
        "inventory/targets/eu1/chess-club.bak.yml: the name of a target is the file's: expected a DNS label (lower case letters, digits and '-', 63 at most), got 'chess-club.bak', did you mean chess-club-bak?",
    ),
    "a target of two files": (
        write("inventory/targets/eu1/chess-club.yaml", "parameters: {}\n"),
        "inventory/targets/eu1/chess-club.yaml: another file has the same name; expected one, remove the other",
    ),
    "a file that nobody reads": (
        write("inventory/chess.yml", "parameters: {}\n"),
        "inventory/chess.yml: nothing reads it here; expected it below inventory/classes or in inventory/targets/<cluster>",
    ),
    "a target in no cluster's folder": (
        write("inventory/targets/chess.yml", "parameters: {}\n"),
        "inventory/targets/chess.yml: expected inventory/targets/<cluster>/<name>.yml, got 0 folders",
    ),
    "a target's name in capitals": (
        write("inventory/targets/eu1/My_Tenant.yml", "parameters: {}\n"),
        "inventory/targets/eu1/My_Tenant.yml: the name of a target is the file's: expected a DNS label (lower case letters, digits and '-', 63 at most), got 'My_Tenant', did you mean my-tenant?",
    ),
    "an editor's lock": (
        lambda repository: (repository.top / "inventory/targets/eu1/.#chess-club.yml").symlink_to("me@host.123:456"),
        "inventory/targets/eu1/.#chess-club.yml: expected a file, got a link to nothing; an editor's lock goes when the file there is saved or closed",
    ),
    "an editor's lock of a class": (
        lambda repository: (repository.top / "inventory/classes/size/.#small.yml").symlink_to("me@host.123:456"),
        "inventory/classes/size/.#small.yml: expected a file, got a link to nothing; an editor's lock goes when the file there is saved or closed",
    ),
    "a folder for a file": (
        lambda repository: (repository.top / "inventory/targets/eu1/chess.yml").mkdir(),
        "inventory/targets/eu1/chess.yml: expected a file, got a folder; rename or remove it",
    ),
    "a folder for a class": (
        lambda repository: (repository.top / "inventory/classes/size/tiny.yml").mkdir(),
        "inventory/classes/size/tiny.yml: expected a file, got a folder; rename or remove it",
    ),
    "an octal number": (
        add(CHESS, "    database: {max_connections: 0100}\n"),
        "inventory/targets/eu1/chess-club.yml:15: matrix.database.max_connections: expected a decimal number without zeros before it, true or false, or text in quotes, got 0100",
    ),
    "a hexadecimal number": (
        add(CHESS, "    database: {max_connections: 0x64}\n"),
        "inventory/targets/eu1/chess-club.yml:15: matrix.database.max_connections: expected a decimal number without zeros before it, true or false, or text in quotes, got 0x64",
    ),
    "a grouped number": (
        add(CHESS, "    database: {max_connections: 1_00}\n"),
        "inventory/targets/eu1/chess-club.yml:15: matrix.database.max_connections: expected a decimal number without zeros before it, true or false, or text in quotes, got 1_00",
    ),
    "minutes and seconds": (
        add(CHESS, "    database: {max_connections: 1:40}\n"),
        "inventory/targets/eu1/chess-club.yml:15: matrix.database.max_connections: expected a decimal number without zeros before it, true or false, or text in quotes, got 1:40",
    ),
    "a number in quotes": (
        add(CHESS, "    database: {max_connections: '100'}\n"),
        "inventory/targets/eu1/chess-club.yml:15: matrix.database.max_connections: expected a whole number, got '100'; write it without quotes",
    ),
    "true as a number": (
        add(CHESS, "    router: {replicas: true}\n"),
        "inventory/targets/eu1/chess-club.yml:15: matrix.router.replicas: expected a whole number, got True",
    ),
    "false in quotes": (
        add(CHESS, "    probes: {canary: 'false'}\n"),
        "inventory/targets/eu1/chess-club.yml:15: matrix.probes.canary: expected true or false, got 'false'; write it without quotes",
    ),
    "yes": (
        add(CHESS, "    probes: {canary: yes}\n"),
        "inventory/targets/eu1/chess-club.yml:15: matrix.probes.canary: expected a decimal number without zeros before it, true or false, or text in quotes, got yes",
    ),
    "two patterns": (
        edit(CHESS, "  - pattern.single-tenant\n", "  - pattern.single-tenant\n  - pattern.high-availability\n"),
        "inventory/targets/eu1/chess-club.yml:4: classes: expected one class of pattern/, got 'pattern.high-availability' beside 'pattern.single-tenant'; remove one of them",
    ),
    "two patterns, one by a class": (
        chain(
            with_standby,
            edit(
                "inventory/targets/eu1/pair.yml",
                "  - homeserver.pair\n",
                "  - homeserver.pair\n  - pattern.multi-tenant\n",
            ),
        ),
        "inventory/targets/eu1/pair.yml:3: classes: expected one class of pattern/, got 'pattern.multi-tenant' beside 'pattern.single-tenant'; remove one of them",
    ),
    "two clusters": (
        edit("inventory/targets/us1/platform.yml", "  - cluster.us1\n", "  - cluster.eu1\n  - cluster.us1\n"),
        "inventory/targets/us1/platform.yml:3: classes: expected one class of cluster/, got 'cluster.us1' beside 'cluster.eu1'; remove one of them",
    ),
    "servers of a closed federation": (
        edit(CHESS, "{url_previews: false}", "{federation: {enabled: false, allow: [example.net]}}"),
        "inventory/targets/eu1/chess-club.yml:12: matrix.synapse.federation: expected enabled: true, since allow names servers, got False; remove one of the two",
    ),
    "null where nothing was set": (
        add(CHESS, "    alerts: null\n"),
        "inventory/targets/eu1/chess-club.yml:15: matrix.alerts: expected a value, got null; it takes back what a class sets, and none sets this",
    ),
    "a class's list by reference": (
        backed_up("backup: {recipients: '${matrix:alerts:email}'}"),
        "inventory/targets/eu1/matrix-prod.yml:22: matrix.backup.recipients: expected a list written out: it replaces the one of the classes before, and a reference would not",
    ),
}


def test_a_choice_that_is_not_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BUILT, Media, frozenset({Media.PVC}))
    repository = Repository(tmp_path)
    add(CHESS, "    media: {kind: s3}\n")(repository)
    with pytest.raises(FleetError) as caught:
        read_fleet(tmp_path)
    said = "expected a choice that is built, got 's3'; not built yet; today: pvc"
    assert f"{CHESS}:15: matrix.media.kind: {said}" in str(caught.value).splitlines()


@pytest.mark.parametrize("kind", CASES)
def test_says(kind: str, tmp_path: Path) -> None:
    change, expected = CASES[kind]
    repository = Repository(tmp_path)
    change(repository)
    with pytest.raises(FleetError) as caught:
        read_fleet(tmp_path)
    assert expected in str(caught.value).splitlines(), str(caught.value)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    repository.edit(CHESS, "url_previews", "url_preview")
    repository.edit(PROD, "signing_key: volume", "signing_key: volum")
    with pytest.raises(FleetError) as caught:
        read_fleet(tmp_path)
    assert [fault.file for fault in caught.value.faults] == [CHESS, PROD]
