# Bring the database back from a dump, once for this restore's name, beside the one that is there; then they change names.
. /etc/backup/lib.sh
trap 'exit 0' TERM INT
export PGUSER=postgres PGDATABASE=postgres
until pg_isready --quiet; do sleep 1; done
sql() { psql -XAtq -v ON_ERROR_STOP=1 "$@"; }
said() { sql -c "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'synapse'"; }
# The roles and their rights are made at the server's first start.
until [ "$(sql -c "SELECT count(*) FROM pg_database WHERE datname = 'synapse'")" = 1 ]; do sleep 1; done
if [ "$(said)" != "restored $RESTORE" ]; then
  repository database
  last=$(newest dump "${UNTIL:-9999}") || fail "restore: there is no dump${UNTIL:+ before $UNTIL}"
  say "restore: the dump of ${last#* }"
  sql -c 'DROP DATABASE IF EXISTS synapse_restoring WITH (FORCE)' \
    -c "CREATE DATABASE synapse_restoring TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'"
  restic dump "${last% *}" synapse.dump | pg_restore --exit-on-error --no-privileges --dbname=synapse_restoring
  connected=$(sql -c "SELECT count(*) FROM pg_stat_activity WHERE datname = 'synapse' AND usename LIKE 'synapse%'")
  [ "$connected" = 0 ] || fail "restore: Synapse is connected ($connected sessions); stop it first (state: stopped)"
  sql -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'synapse'" >/dev/null
  sql --single-transaction -c "ALTER DATABASE synapse RENAME TO \"synapse_before_$RESTORE\"" \
    -c 'ALTER DATABASE synapse_restoring RENAME TO synapse' -c "COMMENT ON DATABASE synapse IS 'restored $RESTORE'"
  psql -Xq -v ON_ERROR_STOP=1 -f /etc/postgresql/roles.sql
fi
say "restore: $RESTORE is done; what was there is the database synapse_before_$RESTORE"
touch /tmp/restored
sleep infinity &
wait $!
