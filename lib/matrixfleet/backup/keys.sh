# Keep the tenant's keys for people: encrypted to each recipient, in two places, and only where they are not there yet.
# Each copy is read back and decrypted by a key that is thrown away then: whoever holds a recipient's can do the same. Its name
# says of which keys it is, and what was then written: the newest is compared each time, so it is known to be of the running ones.
. /etc/backup/lib.sh
# In memory, not on the node's disk: it holds every key in the clear for a moment.
work=$(mktemp --directory --tmpdir=/run/backup)
trap 'rm -rf "$work"' EXIT
# The same content makes the same archive, and so the same name.
tar --create --dereference --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=0400 --exclude='..*' \
  --absolute-names --transform='s,^/,,' --file "$work/keys.tar" $KEYS
digest() { sha256sum | cut -c1-32; }
sum=$({ cat "$work/keys.tar"; echo "$RECIPIENTS"; } | digest)
for place in first second; do
  at=$(printenv "PLACE_${place^^}")/keys
  newest=$(rclone lsf --include '*.tar.age' "$at" 2>/dev/null | sort | tail -n 1) || newest=
  case $newest in
    *-"$sum"-*)
      found=$(rclone cat "$at/$newest" | digest)
      if [ "$newest" != "${newest%-*}-$found.tar.age" ]; then
        say "keys: $newest in the $place place is damaged; another copy is made"
        newest=
      fi
      ;;
    *) newest= ;;
  esac
  if [ -z "$newest" ]; then
    age-keygen --output "$work/once" 2>/dev/null
    to=()
    for one in $RECIPIENTS $(age-keygen -y "$work/once"); do to+=(--recipient "$one"); done
    age --encrypt "${to[@]}" --output "$work/keys.tar.age" "$work/keys.tar"
    name=$(date -u +%Y%m%dT%H%M%SZ)-$sum-$(digest <"$work/keys.tar.age").tar.age
    rclone copyto "$work/keys.tar.age" "$at/$name"
    rclone cat "$at/$name" | age --decrypt --identity "$work/once" | cmp --quiet - "$work/keys.tar" ||
      fail "keys: $at/$name is not what was written"
    rm "$work/once"
    say "keys: $name is in the $place place"
  fi
  # What `verify` reads: these keys are the running ones, as of now.
  printf '%s %s\n' "$sum" "$(date -u +%FT%TZ)" >"$work/checked"
  rclone copyto "$work/checked" "$at/checked"
done
