# Back up local media, once in INTERVAL. What other servers have is theirs to keep, and previews are made again.
. /etc/backup/lib.sh
own_repository media
if last=$(newest media) && [ "$(since "${last#* }")" -lt "$INTERVAL" ]; then exit 0; fi
cd "$MEDIA"
kept=()
for folder in local_content local_thumbnails; do [ ! -d "$folder" ] || kept+=("$folder"); done
if [ "${#kept[@]}" = 0 ]; then
  say "media: there is none yet"
  exit 0
fi
patient backup --tag media --host "$SERVER_NAME" "${kept[@]}"
patient forget --tag media --group-by tags --keep-within "${KEEP_MEDIA}d" --prune
patient check
say "media: backed up"
