# A base backup once in INTERVAL: the whole each week, what changed since on other days.
. /etc/backup/lib.sh
pg_isready --quiet || fail "base: PostgreSQL is not there yet"
# Does nothing where it is there; refuses to take over the archive of another server.
pgbackrest --stanza=synapse --log-level-console=warn stanza-create
pgbackrest --stanza=synapse --log-level-console=warn check
due() {
  psql -XAtq --set=info="$(pgbackrest --output=json info)" --set=filter="$1" --set=after="$2" <<'SQL'
SELECT count(*) = 0 FROM json_array_elements(:'info'::json) stanza, json_array_elements(stanza->'backup') backup
WHERE backup->>'type' LIKE :'filter' AND (backup->'timestamp'->>'stop')::bigint > extract(epoch FROM now()) - :'after'::bigint;
SQL
}
if [ "$(due full $((INTERVAL * 7)))" = t ]; then kind=full
elif [ "$(due '%' "$INTERVAL")" = t ]; then kind=diff
else exit 0; fi
pgbackrest --stanza=synapse --type="$kind" backup
say "base: a $kind backup is done"
