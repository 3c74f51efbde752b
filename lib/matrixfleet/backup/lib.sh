# What every script of backups begins with. The Pod's environment says PLACE_FIRST (a remote of rclone's with the tenant's
# folder) and what restic, rclone and pgBackRest read themselves.
set -euo pipefail
umask 077

say() { printf '%s %s\n' "$(date -u +%FT%TZ)" "$*"; }
fail() {
  say "$*" >&2
  exit 1
}

# Use one of the tenant's repositories of restic. What a process that was killed locked is unlocked: restic tells its own
# stale locks by host, process and time.
repository() {
  export RESTIC_REPOSITORY=rclone:$PLACE_FIRST/$1
  restic unlock --quiet
}

# The remote `copy`: media in the bucket of backups, content and names encrypted.
with_copy() {
  RCLONE_CONFIG_COPY_PASSWORD=$(rclone obscure - <"$RESTIC_PASSWORD_FILE")
  export RCLONE_CONFIG_COPY_PASSWORD
}

# The same, made where there is none. A wrong passphrase is no missing repository, nor is a bucket that is away.
own_repository() {
  export RESTIC_REPOSITORY=rclone:$PLACE_FIRST/$1
  if ! said=$(restic cat config --no-lock 2>&1 >/dev/null); then
    case $said in
      *"Is there a repository"*)
        begun_anew "$1"
        restic init
        ;;
      *) fail "$1: $said" ;;
    esac
  fi
  restic unlock --quiet
}

# An init that was killed leaves a key of which no config is: beside another's it would open the repository, and read nothing.
# Keys go only where nothing is stored that they could read.
begun_anew() {
  local stored code=0
  stored=$(rclone lsf --recursive --files-only "$PLACE_FIRST/$1" 2>/dev/null) || code=$?
  # 3: there is no such folder.
  [ "$code" = 0 ] || [ "$code" = 3 ] || fail "$1: the bucket does not say what is there"
  ! grep -q '^\(data\|snapshots\|index\)/' <<<"$stored" || fail "$1: there is no config beside what is stored; restore it from the bucket's versions"
  [ -z "$stored" ] || rclone delete "$PLACE_FIRST/$1/keys"
}

# The newest snapshot with a tag, not after a moment where one is given: its id and time; fails where there is none.
newest() {
  local limit=${2:-9999} found
  found=$(restic snapshots --no-lock --json --tag "$1" | tr '}' '\n' | sed -n 's/.*"time":"\([^"]*\)".*"short_id":"\([^"]*\)".*/\1 \2/p' |
    while read -r time id; do printf '%s %s\n' "$(date -u -d "$time" +%FT%TZ)" "$id"; done |
    sort | awk -v limit="$limit" '$1 <= limit { last = $2 " " $1 } END { print last }')
  [ -n "$found" ] || return 1
  echo "$found"
}

# Seconds since a moment.
since() { echo $(($(date +%s) - $(date -d "$1" +%s))); }

# Run restic, and wait where another Pod has locked the repository: it prunes, or looks through it.
patient() {
  local said
  until said=$(restic --quiet "$@" 2>&1); do
    case $said in
      *"already locked"*)
        restic unlock --quiet
        sleep 5
        ;;
      *)
        say "$said" >&2
        return 1
        ;;
    esac
  done
}
