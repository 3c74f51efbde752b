# Coturn reads its secrets from its configuration alone: join them in memory, readable by its user only.
# Several are all valid: $@ are the files, the one before last too while clients still hold its credentials.
set -eu
umask 077
public=
if [ -s /etc/coturn/addresses ]; then
  # Behind NAT: the public address of the one that is bound, a line each; * stands for any.
  while read -r bound address; do
    case $bound in "$ADDRESS" | '*') public=$address ;; esac
  done </etc/coturn/addresses
  if [ -z "$public" ]; then
    echo "this node's address $ADDRESS is not among turn.external_addresses; add it with its public address" >&2
    exit 1
  fi
fi
{
  cat /etc/coturn/turnserver.conf
  for file in "$@"; do printf 'static-auth-secret=%s\n' "$(cat "$file")"; done
  printf 'listening-ip=%s\nrelay-ip=%s\n' "$ADDRESS" "$ADDRESS"
  if [ -n "$public" ]; then
    printf 'external-ip=%s/%s\n' "$public" "$ADDRESS"
    # Where both sides of a call use this relay, one of its ports sends to another. Coturn turns the public
    # address into its own before it asks what is denied, and its own is a private one.
    printf 'allowed-peer-ip=%s\n' "$ADDRESS"
  fi
} >/run/turn/turnserver.conf
