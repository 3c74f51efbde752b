# Bring PostgreSQL's files back from the archive, once for this restore's name. What was there is kept beside.
. /etc/backup/lib.sh
. /etc/backup/archiver.sh
top=/var/lib/postgresql
done=$top/restored-$RESTORE begun=$top/restoring-$RESTORE
if [ -e "$done" ]; then
  say "restore: $RESTORE was done at $(cat "$done")"
  exit 0
fi
if [ ! -e "$begun" ]; then
  [ ! -e "$top/before-$RESTORE" ] || fail "restore: $top/before-$RESTORE is there already; give this restore another name"
  if [ -d "$top/data" ]; then
    mv "$top/data" "$top/before-$RESTORE"
    timeline=$(pg_controldata "$top/before-$RESTORE" | sed -n "s/^Latest checkpoint's TimeLineID: *//p") || timeline=unknown
    say "restore: what was there, on timeline $timeline, is in $top/before-$RESTORE"
  fi
  touch "$begun"
fi
# What a try before left is not whole.
rm -rf "$top/data" && mkdir -m 700 "$top/data"
(fetched "${UNTIL-}") || fail "restore: not restored; what was there is in $top/before-$RESTORE"
date -u +%FT%TZ >"$begun" && mv "$begun" "$done"
say "restore: files are back; PostgreSQL replays its log now"
