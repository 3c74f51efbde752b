# Keep roles as roles.sql says, once at start, and make the server read its certificate when it is renewed.
set -eu
export PGHOST=/var/run/postgresql PGUSER=postgres PGDATABASE=postgres
trap 'exit 0' TERM INT
# What the probe of this container asks for: that it still goes round.
alive() { touch "$PGHOST/reconciler"; }
until pg_isready -q; do alive; sleep 1; done
psql -Xq -v ON_ERROR_STOP=1 -f /etc/postgresql/roles.sql
echo "roles are as they should be"
seen=
while :; do
  alive
  now=$(sha256sum </tls/database/tls.crt)
  if [ "$now" != "$seen" ]; then
    # A Pod that shuts down answers no more: that is no reason to fail.
    psql -Xqc 'SELECT pg_reload_conf()' >/dev/null && seen=$now && echo "certificate is read" || true
  fi
  sleep 30 &
  wait $!
done
