# Coturn reads its secret from its configuration alone: join both in memory, readable by its user only.
set -eu
umask 077
{
  cat /etc/coturn/turnserver.conf
  printf 'static-auth-secret=%s\n' "$(cat /secrets/turn/shared_secret)"
  printf 'listening-ip=%s\nrelay-ip=%s\n' "$HOST_IP" "$HOST_IP"
} >/run/turn/turnserver.conf
