# Whether every backup is there and young enough, and a part of what is stored is what was written.
. /etc/backup/lib.sh
faults=0
wrong() {
  say "$*" >&2
  faults=$((faults + 1))
}
young() {
  local seconds
  seconds=$(since "$2")
  [ "$seconds" -le "${3:-$OLDEST}" ] || wrong "$1: the newest is $((seconds / 3600)) h old, expected $((${3:-$OLDEST} / 3600)) at most"
}
for one in "$@"; do
  case $one in
    keys)
      sums=()
      for place in first second; do
        checked=$(rclone cat "$(printenv "PLACE_${place^^}")/keys/checked") || checked=
        if [ -z "$checked" ]; then wrong "keys: not in the $place place"; continue; fi
        sums+=("${checked% *}")
        young "keys in the $place place" "${checked#* }"
      done
      [ "${sums[0]-}" = "${sums[1]-}" ] || wrong "keys: the two places differ"
      ;;
    base)
      . "$ARCHIVER"
      last=$(backups | tail -n 1) || last=
      if [ -n "$last" ]; then young base "@${last%% *}"; else wrong "base: there is none"; fi
      whole || wrong "base: a part of the archive is missing"
      ;;
    media-copy)
      with_copy
      copied=$(rclone cat copy:copied) || copied=
      if [ -n "$copied" ]; then young media-copy "$copied" "$OLDEST_DUMP"; else wrong "media-copy: there is none"; fi
      while read -r name; do
        rclone cat "copy:$name" >/dev/null || wrong "media-copy: $name is damaged"
      done < <(rclone lsf --recursive --files-only copy: | shuf -n 20)
      ;;
    lock)
      [ "$(rclone backend versioning "${PLACE_FIRST%%/*}")" = Enabled ] ||
        wrong "lock: the bucket keeps no versions; turn on its object lock (recovery.md)"
      ;;
    *)
      tag=$one age=$OLDEST
      [ "$one" != dump ] || { one=database age=$OLDEST_DUMP; }
      repository "$one" || { wrong "$one: no repository"; continue; }
      if last=$(newest "$tag"); then young "$tag" "${last#* }" "$age"; else wrong "$tag: there is none"; fi
      patient check --read-data-subset=2% || wrong "$tag: what is stored is damaged"
      ;;
  esac
done
[ "$faults" = 0 ] || fail "$faults things are wrong with the backups"
say "verify: every backup is there"
