# A base backup once in INTERVAL: the whole each week and after a restore, what changed since on other days. One from before
# a restore may be of a timeline that this server's is no child of: nobody could replay the log from there to now.
. /etc/backup/lib.sh
. /etc/backup/archiver.sh
pg_isready --quiet || fail "base: PostgreSQL is not there yet"
arrives
there=$(backups)
# Whether one is younger than a moment.
newer() { awk -v after="$1" '$1 > after { found = 1 } END { exit !found }'; }
now=$(date +%s)
oldest=$((now - INTERVAL * 7))
restored=$(find /var/lib/postgresql -maxdepth 1 -name 'restored-*' -printf '%Ts\n' | sort -n | tail -n 1)
[ "${restored:-0}" -lt "$oldest" ] || oldest=$restored
if ! grep ' full ' <<<"$there" | newer "$oldest"; then kind=full
elif ! newer $((now - INTERVAL)) <<<"$there"; then kind=diff
else exit 0; fi
base_backup "$kind"
say "base: a $kind backup is done"
