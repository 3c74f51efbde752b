# Restore the newest backups to a server that nobody else reaches, and look at what is in it.
. /etc/backup/lib.sh
data=/var/lib/postgresql/data
export PGHOST=/var/run/postgresql PGUSER=postgres
start() {
  pg_ctl --pgdata="$data" --options="-c listen_addresses= -c unix_socket_directories=$PGHOST -c archive_mode=off -c ssl=off \
    -c hba_file=$data/drill_hba.conf -c config_file=$data/drill.conf" --wait --timeout=86400 --silent --log=/tmp/server.log start ||
    { cat /tmp/server.log >&2; fail "$1: the restored server does not start"; }
}
settings() {
  echo 'local all all trust' >"$data/drill_hba.conf"
  # A standby's limits must not be below the primary's, or it stops.
  printf "max_connections = %s\nshared_buffers = 64MB\nmax_wal_size = 1GB\nhuge_pages = off\njit = off\n" "$MAX_CONNECTIONS" >"$data/drill.conf"
}
looked_at() {
  psql -XAtq -v ON_ERROR_STOP=1 -d synapse <<SQL
SELECT '$1: schema ' || (SELECT version FROM schema_version) || ', ' || (SELECT count(*) FROM users) || ' users, '
  || (SELECT count(*) FROM rooms) || ' rooms, ' || (SELECT count(*) FROM events) || ' events, the last at '
  || coalesce((SELECT to_timestamp(max(received_ts) / 1000)::text FROM events), 'no time');
-- Damage that a restore does not notice: every row of the largest tables is read.
SELECT count(*) FROM event_json WHERE json IS NULL \g /dev/null
SQL
}
begun=$(date +%s)
for one in "$@"; do
  rm -rf "$data" && mkdir -m 700 "$data"
  if [ "$one" = archive ]; then
    . "$ARCHIVER"
    fetched ""
    settings
    cat "$data/postgresql.auto.conf" >>"$data/drill.conf"
  else
    initdb --pgdata="$data" --username=postgres --encoding=UTF8 --locale=C --no-sync --set huge_pages=off >/dev/null
    settings
  fi
  start "$one"
  if [ "$one" = dump ]; then
    repository database
    last=$(newest dump) || fail "dump: there is none"
    psql -Xq -v ON_ERROR_STOP=1 -c 'CREATE DATABASE synapse'
    restic dump "${last% *}" synapse.dump | pg_restore --no-owner --no-privileges --exit-on-error --dbname=synapse
  else
    until [ "$(psql -XAtqc 'SELECT pg_is_in_recovery()')" = f ]; do sleep 1; done
  fi
  looked_at "$one"
  pg_ctl --pgdata="$data" --mode=fast --wait --silent stop
done
rm -rf "$data"
say "drill: restored and looked at in $(($(date +%s) - begun)) s"
