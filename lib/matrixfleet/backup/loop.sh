# Do each duty in turn, for ever. A duty that fails is tried again: it says itself when there is nothing to do.
set -u
trap 'exit 0' TERM INT
while :; do
  for duty in "$@"; do
    bash "/etc/backup/$duty.sh" || printf '%s %s failed; it is tried again in %s s\n' "$(date -u +%FT%TZ)" "$duty" "$PAUSE" >&2
  done
  sleep "$PAUSE" &
  wait $!
done
