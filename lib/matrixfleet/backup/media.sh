# Back up local media, once in INTERVAL. What other servers have is theirs to keep, and previews are made again.
. /etc/backup/lib.sh
own_repository media
if last=$(newest media) && [ "$(since "${last#* }")" -lt "$INTERVAL" ]; then exit 0; fi
cd "$MEDIA"
# All that is Synapse's own, which at first is nothing: that too is a backup.
patient backup --tag media --host "$SERVER_NAME" --exclude lost+found \
  --exclude remote_content --exclude remote_thumbnail --exclude url_cache --exclude url_cache_thumbnails .
patient forget --tag media --group-by tags --keep-within "${KEEP_MEDIA}d" --prune
patient check
say "media: backed up"
