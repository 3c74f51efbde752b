# Run Coturn, and have it read its certificate ($1, if it has one) again when that is renewed (SIGUSR2).
set -eu
certificate=${1:-}
turnserver -c /run/turn/turnserver.conf &
turn=$!
trap 'kill -TERM $turn' TERM INT
(
  seen=
  while sleep 60; do
    [ -r "$certificate" ] || continue
    now=$(sha256sum <"$certificate")
    [ -z "$seen" ] || [ "$now" = "$seen" ] || kill -USR2 $turn
    seen=$now
  done
) &
watcher=$!
# wait returns early when a signal is trapped: once more for the real end.
wait $turn || true
wait $turn && status=0 || status=$?
kill $watcher 2>/dev/null || true
exit $status
