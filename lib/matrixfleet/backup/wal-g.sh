# The archive's duties by WAL-G, for scripts that sourced lib.sh: who calls one in a condition has no `set -e` in it. Its
# settings are in the environment, its keys in files. Its commands: https://wal-g.readthedocs.io/PostgreSQL/
DATA=/var/lib/postgresql/data

# A status in what it prints as JSON.
status() { grep -qE "\"status\": *\"$1\"" <<<"$2"; }

# Whether anything was ever archived. A bucket that cannot be asked is no empty one.
archived() {
  local said
  said=$(wal-g wal-show --without-backups --detailed-json) || fail "archive: the bucket does not answer"
  grep -q '"start_segment"' <<<"$said"
}

# The archive is this server's: another's is never taken over. WAL-G itself compares files of one name alone, and a server
# that is new has others. That the log arrives, a base backup waits for.
arrives() {
  local theirs ours
  theirs=$(wal-g backup-list --detail --json | sed -nE 's/.*"system_identifier": *([0-9]+).*/\1/p' | tail -n 1)
  ours=$(psql -XAtqc 'SELECT system_identifier FROM pg_control_system()')
  [ "${theirs:-$ours}" = "$ours" ] || fail "archive: it is another server's ($theirs, this one is $ours)"
}

# Every base backup, oldest first: when it was done, full or diff, its name.
backups() {
  local time name kind
  wal-g backup-list --json | tr '}' '\n' |
    sed -nE 's/.*"backup_name": *"([^"]*)".*"time": *"([^"]*)".*/\1 \2/p' |
    while read -r name time; do
      kind=full
      case $name in *_D_*) kind=diff ;; esac
      echo "$(date -d "$time" +%s) $kind $name"
    done | sort -n
}

# Make one, full or diff; what is older than is kept goes; and no segment is missing since the oldest.
base_backup() {
  local full=() said
  [ "$1" != full ] || full=(--full)
  wal-g backup-push "${full[@]}" "$DATA"
  wal-g delete retain FULL "$KEEP_FULL" --confirm
  said=$(wal-g wal-verify integrity timeline --json)
  if status FAILURE "$said"; then fail "base: the archive is not whole: $said"; fi
}

# Whether what is stored is whole, as far as can be told without reading all of it.
whole() {
  local said
  said=$(wal-g wal-show --without-backups --detailed-json) || return 1
  ! status LOST_SEGMENTS "$said"
}

# Fill the empty data directory as it was before a moment, or as it is now; PostgreSQL replays its log then.
fetched() {
  local last=LATEST
  if [ -n "$1" ]; then
    last=$(backups | awk -v until="$(date -d "$1" +%s)" '$1 < until { last = $3 } END { print last }') || return 1
    [ -n "$last" ] || fail "restore: there is no base backup before $1"
  fi
  wal-g backup-fetch "$DATA" "$last" || return 1
  # What a restore before this one asked for is in the backup, too.
  touch "$DATA/postgresql.auto.conf"
  sed -i -E '/^(restore_command|recovery_target)/d' "$DATA/postgresql.auto.conf"
  {
    # 74 says that there is no such segment. Anything else must stop PostgreSQL: it would take a bucket that is away for
    # the end of the log.
    echo "restore_command = 'wal-g wal-fetch \"%f\" \"%p\" || { [ \$? -eq 74 ] && exit 1; exit 255; }'"
    [ -z "$1" ] ||
      printf "recovery_target_time = '%s'\nrecovery_target_action = 'promote'\n" "$(date -u -d "$1" '+%F %T+00')"
    [ -z "${TIMELINE-}" ] || echo "recovery_target_timeline = '$TIMELINE'"
  } >>"$DATA/postgresql.auto.conf"
  touch "$DATA/recovery.signal"
}
