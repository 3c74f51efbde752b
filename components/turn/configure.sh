# Coturn reads its secrets from its configuration alone: join them in memory, readable by its user only.
# Several are all valid: $@ are the files, the one before last too while clients still hold its credentials.
set -eu
umask 077
{
  cat /etc/coturn/turnserver.conf
  for file in "$@"; do printf 'static-auth-secret=%s\n' "$(cat "$file")"; done
  printf 'listening-ip=%s\nrelay-ip=%s\n' "$HOST_IP" "$HOST_IP"
} >/run/turn/turnserver.conf
