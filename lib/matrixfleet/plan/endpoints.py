"""Which requests a worker may answer: regular expressions of paths, in upstream's groups.

The reference is docs/workers.md of the pinned Synapse; a test reads it and demands that each expression
there is here. HAProxy and Synapse read the same syntax.
"""

SYNC = (
    r"^/_matrix/client/(r0|v3)/sync$",
    r"^/_matrix/client/(api/v1|r0|v3)/events$",
    # Not in upstream's list; answered by any worker (Element X asks it).
    r"^/_matrix/client/unstable/org.matrix.simplified_msc3575/sync$",
)
INITIAL_SYNC = (
    r"^/_matrix/client/(api/v1|r0|v3)/initialSync$",
    r"^/_matrix/client/(api/v1|r0|v3)/rooms/[^/]+/initialSync$",
)
FEDERATION_READS = (
    r"^/_matrix/federation/v1/version$",
    r"^/_matrix/federation/v1/event/",
    r"^/_matrix/federation/v1/state/",
    r"^/_matrix/federation/v1/state_ids/",
    r"^/_matrix/federation/v1/backfill/",
    r"^/_matrix/federation/v1/get_missing_events/",
    r"^/_matrix/federation/v1/publicRooms",
    r"^/_matrix/federation/v1/query/",
    r"^/_matrix/federation/v1/make_join/",
    r"^/_matrix/federation/v1/make_leave/",
    r"^/_matrix/federation/(v1|v2)/send_join/",
    r"^/_matrix/federation/(v1|v2)/send_leave/",
    r"^/_matrix/federation/v1/make_knock/",
    r"^/_matrix/federation/v1/send_knock/",
    r"^/_matrix/federation/(v1|v2)/invite/",
    r"^/_matrix/federation/v1/event_auth/",
    r"^/_matrix/federation/v1/timestamp_to_event/",
    r"^/_matrix/federation/v1/exchange_third_party_invite/",
    r"^/_matrix/federation/v1/user/devices/",
    r"^/_matrix/key/v2/query",
    r"^/_matrix/federation/v1/hierarchy/",
)
FEDERATION_INBOUND = (r"^/_matrix/federation/v1/send/",)
CLIENT_READS = (
    r"^/_matrix/client/(api/v1|r0|v3|unstable)/createRoom$",
    r"^/_matrix/client/(api/v1|r0|v3|unstable)/publicRooms$",
    r"^/_matrix/client/(api/v1|r0|v3|unstable)/rooms/.*/joined_members$",
    r"^/_matrix/client/(api/v1|r0|v3|unstable)/rooms/.*/context/.*$",
    r"^/_matrix/client/(api/v1|r0|v3|unstable)/rooms/.*/members$",
    r"^/_matrix/client/(api/v1|r0|v3|unstable)/rooms/.*/state$",
    r"^/_matrix/client/v1/rooms/.*/hierarchy$",
    r"^/_matrix/client/(v1|unstable)/rooms/.*/relations/",
    r"^/_matrix/client/v1/rooms/.*/threads$",
    r"^/_matrix/client/unstable/im.nheko.summary/summary/.*$",
    r"^/_matrix/client/v1/room_summary/.*$",
    r"^/_matrix/client/(r0|v3|unstable)/account/3pid$",
    r"^/_matrix/client/(r0|v3|unstable)/account/whoami$",
    r"^/_matrix/client/(r0|v3|unstable)/account/deactivate$",
    r"^/_matrix/client/(r0|v3)/delete_devices$",
    r"^/_matrix/client/(api/v1|r0|v3|unstable)/devices(/|$)",
    r"^/_matrix/client/versions$",
    r"^/_matrix/client/(api/v1|r0|v3|unstable)/voip/turnServer$",
    r"^/_matrix/client/(api/v1|r0|v3|unstable)/rooms/.*/event/",
    r"^/_matrix/client/(api/v1|r0|v3|unstable)/joined_rooms$",
    r"^/_matrix/client/v1/rooms/.*/timestamp_to_event$",
    r"^/_matrix/client/(api/v1|r0|v3|unstable/.*)/rooms/.*/aliases",
    r"^/_matrix/client/(api/v1|r0|v3|unstable)/search$",
    r"^/_matrix/client/(r0|v3|unstable)/user/.*/filter(/|$)",
    r"^/_matrix/client/(api/v1|r0|v3|unstable)/directory/room/.*$",
    r"^/_matrix/client/(r0|v3|unstable)/capabilities$",
    r"^/_matrix/client/(r0|v3|unstable)/notifications$",
    # Encryption.
    r"^/_matrix/client/(r0|v3|unstable)/keys/query$",
    r"^/_matrix/client/(r0|v3|unstable)/keys/changes$",
    r"^/_matrix/client/(r0|v3|unstable)/keys/claim$",
    r"^/_matrix/client/(r0|v3|unstable)/room_keys/",
    r"^/_matrix/client/(r0|v3|unstable)/keys/upload",
    r"^/_matrix/client/(api/v1|r0|v3|unstable)/keys/device_signing/upload$",
    r"^/_matrix/client/(api/v1|r0|v3|unstable)/keys/signatures/upload$",
    # Registration and login.
    r"^/_matrix/client/(api/v1|r0|v3|unstable)/login$",
    r"^/_matrix/client/(r0|v3|unstable)/register$",
    r"^/_matrix/client/(r0|v3|unstable)/register/available$",
    r"^/_matrix/client/v1/register/m.login.registration_token/validity$",
    r"^/_matrix/client/(r0|v3|unstable)/password_policy$",
    r"^/_matrix/client/(r0|v3|unstable)/user_directory/search$",
    r"^/_matrix/client/unstable/org.matrix.msc4140/delayed_events/[^/]+/restart$",
)
SENDING = (
    r"^/_matrix/client/(api/v1|r0|v3|unstable)/rooms/.*/redact",
    r"^/_matrix/client/(api/v1|r0|v3|unstable)/rooms/.*/send",
    r"^/_matrix/client/(api/v1|r0|v3|unstable)/rooms/.*/state/",
    r"^/_matrix/client/(api/v1|r0|v3|unstable)/rooms/.*/(join|invite|leave|ban|unban|kick)$",
    r"^/_matrix/client/(api/v1|r0|v3|unstable)/join/",
    r"^/_matrix/client/(api/v1|r0|v3|unstable)/knock/",
    r"^/_matrix/client/(api/v1|r0|v3|unstable)/profile/",
)
MESSAGES = (r"^/_matrix/client/(api/v1|r0|v3|unstable)/rooms/.*/messages$",)
# On a worker only as GET: another method belongs to the stream's writer, or to main.
GET_ONLY = (
    r"^/_matrix/client/(api/v1|r0|v3|unstable)/pushrules/",
    r"^/_matrix/client/(r0|v3|unstable)/.*/tags",
    r"^/_matrix/client/(r0|v3|unstable)/.*/account_data",
    r"^/_matrix/client/(api/v1|r0|v3|unstable)/presence/",
    # Upstream's list has it without a method; POST is on main alone (rest/client/delayed_events.py).
    r"^/_matrix/client/unstable/org.matrix.msc4140/delayed_events(/[^/]+(/restart)?)?$",
)
MEDIA = (
    r"^/_matrix/media/",
    r"^/_matrix/client/v1/media/",
    r"^/_matrix/federation/v1/media/",
)
# Served where media is, and nowhere else; closed at the router to all but administrators' networks.
MEDIA_ADMIN = (
    r"^/_synapse/admin/v1/purge_media_cache$",
    r"^/_synapse/admin/v1/room/.*/media.*$",
    r"^/_synapse/admin/v1/user/.*/media.*$",
    r"^/_synapse/admin/v1/media/.*$",
    r"^/_synapse/admin/v1/quarantine_media/.*$",
    r"^/_synapse/admin/v1/users/.*/media$",
    r"^/_synapse/admin/v1/room/.*/media/quarantine$",
    r"^/_synapse/admin/v1/user/.*/media/quarantine$",
    r"^/_synapse/admin/v1/media/quarantine/.*$",
    r"^/_synapse/admin/v1/media/unquarantine/.*$",
)
# Pages that were looked up for a message, and their pictures, whose ids begin with a day: no bucket has them
# (StorageProviderWrapper), only the process that fetched them.
PREVIEWS = (
    r"^/_matrix/(media/(r0|v1|v3)|client/v1/media)/preview_url",
    r"^/_matrix/(media/(r0|v1|v3)|client/v1/media)/(download|thumbnail)/[^/]+/[0-9]{4}-[0-9]{2}-[0-9]{2}_",
)
STREAMS = {
    "typing": (r"^/_matrix/client/(api/v1|r0|v3|unstable)/rooms/.*/typing",),
    "to_device": (r"^/_matrix/client/(r0|v3|unstable)/sendToDevice/",),
    "account_data": (
        r"^/_matrix/client/(r0|v3|unstable)/.*/tags",
        r"^/_matrix/client/(r0|v3|unstable)/.*/account_data",
    ),
    "receipts": (
        r"^/_matrix/client/(r0|v3|unstable)/rooms/.*/receipt",
        r"^/_matrix/client/(r0|v3|unstable)/rooms/.*/read_markers",
    ),
    "presence": (r"^/_matrix/client/(api/v1|r0|v3|unstable)/presence/",),
    "push_rules": (r"^/_matrix/client/(api/v1|r0|v3|unstable)/pushrules/",),
    "device_lists": (
        r"^/_matrix/client/(r0|v3)/delete_devices$",
        r"^/_matrix/client/(api/v1|r0|v3|unstable)/devices(/|$)",
        r"^/_matrix/client/(r0|v3|unstable)/keys/upload",
        r"^/_matrix/client/(api/v1|r0|v3|unstable)/keys/device_signing/upload$",
        r"^/_matrix/client/(api/v1|r0|v3|unstable)/keys/signatures/upload$",
    ),
}
# What a worker could answer and main does, on purpose.
ON_MAIN = {
    # One process must see a whole single sign-on (synapse#7530, #9427).
    r"^/_matrix/client/(api/v1|r0|v3|unstable)/login/sso/redirect": "SSO",
    r"^/_synapse/client/pick_idp$": "SSO",
    r"^/_synapse/client/pick_username": "SSO",
    r"^/_synapse/client/new_user_consent$": "SSO",
    r"^/_synapse/client/sso_register$": "SSO",
    r"^/_synapse/client/oidc/callback$": "SSO",
    r"^/_synapse/client/saml2/authn_response$": "SSO",
    r"^/_matrix/client/(api/v1|r0|v3|unstable)/login/cas/ticket$": "SSO",
    # Closed at the router, and for administrators' port-forwards to main where it is not.
    r"^/_synapse/admin/v1/rooms/[^/]+$": "admin",
    r"^/_synapse/admin/v2/users/[^/]+$": "admin",
    # Matrix Authentication Service is a later choice.
    r"^/_synapse/mas/": "not built",
}
