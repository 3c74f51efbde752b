# Run PgBouncer, and have it read its certificate when that is renewed. It ends at once when told to: sessions of
# Synapse's never end by themselves, and Synapse connects again.
set -eu
pgbouncer -q /etc/pgbouncer/pgbouncer.ini &
child=$!
trap 'kill -QUIT $child' TERM INT
seen=$(sha256sum </tls/pgbouncer/tls.crt)
while kill -0 $child 2>/dev/null; do
  sleep 30 &
  wait -n $child $! 2>/dev/null || true
  now=$(sha256sum </tls/pgbouncer/tls.crt)
  if [ "$now" != "$seen" ]; then kill -HUP $child && seen=$now && echo "certificate is read"; fi
done
wait $child
