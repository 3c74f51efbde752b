# A base backup once in INTERVAL: the whole each week, what changed since on other days.
. /etc/backup/lib.sh
. /etc/backup/archiver.sh
pg_isready --quiet || fail "base: PostgreSQL is not there yet"
arrives
there=$(backups)
# Whether one is younger than so many seconds.
recent() { awk -v after="$(($(date +%s) - $1))" '$1 > after { found = 1 } END { exit !found }'; }
if ! grep ' full ' <<<"$there" | recent $((INTERVAL * 7)); then kind=full
elif ! recent "$INTERVAL" <<<"$there"; then kind=diff
else exit 0; fi
base_backup "$kind"
say "base: a $kind backup is done"
