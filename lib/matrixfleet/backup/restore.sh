# After the database: media that is missing, and whether the two fit together. Nothing that is there is overwritten.
. /etc/backup/lib.sh
sql() { psql -XAtq -v ON_ERROR_STOP=1 "$@"; }
until [ "$(sql -c 'SELECT pg_is_in_recovery()')" = f ]; do sleep 2; done
# Of another role no more than its name is seen.
connected=$(sql -c "SELECT count(*) FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
  WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.application_name IS DISTINCT FROM 'restore'
  AND NOT r.rolsuper AND pg_has_role(r.oid, current_user, 'MEMBER')")
[ "$connected" = 0 ] || fail "restore: Synapse is connected ($connected sessions); stop it first (state: stopped)"
# A dump becomes the database in one transaction: what was there is the schema before_<name> then, or nothing changed.
restored() { sql -c "SELECT obj_description('public'::regnamespace)"; }
if [ "${RESTORE_DATABASE-}" = yes ] && [ "$(restored)" != "restored $RESTORE" ]; then
  repository database
  last=$(newest dump "${UNTIL:-9999}") || fail "restore: there is no dump${UNTIL:+ before $UNTIL}"
  say "restore: the dump of ${last#* }"
  {
    echo "BEGIN; ALTER SCHEMA public RENAME TO \"before_$RESTORE\"; CREATE SCHEMA public;"
    # A server before PostgreSQL 17 does not know that setting, of which the head of a script has one.
    restic dump "${last% *}" synapse.dump | pg_restore --no-owner --no-privileges --file=- |
      sed '1,/^SELECT pg_catalog.set_config/{/^SET transaction_timeout = 0;$/d}' || exit 1
    echo "COMMENT ON SCHEMA public IS 'restored $RESTORE'; COMMIT;"
  } | psql -Xq -v ON_ERROR_STOP=1 -o /dev/null || fail "restore: not restored; what was there is as it was"
  say "restore: the database is back; what was there is the schema before_$RESTORE"
fi
# Clients were given these since: one key must never serve twice.
sql -c 'TRUNCATE e2e_one_time_keys_json'
if [ -n "${KEY-}" ] && [ -s "$GIVEN_KEY" ] && ! cmp --quiet "$GIVEN_KEY" "$KEY"; then
  [ ! -e "$KEY" ] || mv "$KEY" "$KEY.before-$RESTORE"
  cp "$GIVEN_KEY" "$KEY.new" && chmod 440 "$KEY.new" && mv "$KEY.new" "$KEY"
  say "restore: the signing key is the given one"
fi
[ -n "${MEDIA-}${PLACE_MEDIA-}" ] || exit 0
umask 007
if [ -n "${PLACE_MEDIA-}" ]; then
  if [ "$RESTORE_MEDIA" = yes ]; then
    with_copy
    say "restore: media of $(rclone cat copy:copied || echo 'no copy')"
    rclone copy --ignore-existing --exclude /copied copy: "$PLACE_MEDIA"
  fi
elif [ "$RESTORE_MEDIA" = yes ]; then
  repository media
  if last=$(newest media "${UNTIL:-9999}") || last=$(newest media); then
    say "restore: media of ${last#* }"
    rm -rf "$MEDIA/.restoring" && mkdir "$MEDIA/.restoring"
    restic restore --quiet "${last% *}" --exclude /.nothing --target "$MEDIA/.restoring"
    cp --recursive --link --no-clobber "$MEDIA/.restoring/." "$MEDIA/"
    rm -rf "$MEDIA/.restoring"
  else
    say "restore: there is no backup of media"
  fi
fi
# local_content/aa/bb/rest is the media aabbrest.
stored() {
  if [ -n "${PLACE_MEDIA-}" ]; then rclone lsf --recursive --files-only "$PLACE_MEDIA/local_content"
  elif [ -d "$MEDIA/local_content" ]; then find "$MEDIA/local_content" -type f -printf '%P\n'; fi | tr -d / | sort
}
# Names of media: no secret, and there may be many.
work=$(mktemp --directory --tmpdir=/tmp)
sql -c 'SELECT media_id FROM local_media_repository WHERE url_cache IS NULL' | sort >"$work/known"
stored >"$work/stored"
comm -23 "$work/known" "$work/stored" >"$work/missing"
while read -r id; do say "restore: media $id is in the database and not stored"; done < <(head -n 20 "$work/missing")
say "restore: $(wc -l <"$work/known") media in the database, $(wc -l <"$work/missing") of them not stored"
