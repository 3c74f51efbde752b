# Run Coturn, and have it read its certificate again when that is renewed (SIGUSR2).
set -eu
turnserver -c /run/turn/turnserver.conf &
turn=$!
trap 'kill -TERM $turn' TERM INT
(
  seen=
  while sleep 60; do
    [ -r /tls/turn/tls.crt ] || continue
    now=$(sha256sum </tls/turn/tls.crt)
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
