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
  [ "$seconds" -le "$OLDEST" ] || wrong "$1: the newest is $((seconds / 3600)) h old, expected $((OLDEST / 3600)) at most"
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
    *)
      tag=$one
      [ "$one" != dump ] || one=database
      repository "$one" || { wrong "$one: no repository"; continue; }
      if last=$(newest "$tag"); then young "$tag" "${last#* }"; else wrong "$tag: there is none"; fi
      patient check --read-data-subset=2% || wrong "$tag: what is stored is damaged"
      ;;
  esac
done
[ "$faults" = 0 ] || fail "$faults things are wrong with the backups"
say "verify: every backup is there"
