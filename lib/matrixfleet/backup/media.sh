# Back up local media, once in INTERVAL. What other servers have is theirs to keep, and previews are made again.
. /etc/backup/lib.sh
own_repository media
if last=$(newest media) && [ "$(since "${last#* }")" -lt "$INTERVAL" ]; then exit 0; fi
cd "$MEDIA"
left_out=(lost+found remote_content remote_thumbnail url_cache url_cache_thumbnails)
if find . -mindepth 1 -maxdepth 1 | grep -qvxF "$(printf './%s\n' "${left_out[@]}")"; then
  patient backup --tag media --host "$SERVER_NAME" "${left_out[@]/#/--exclude=}" .
else
  # Nothing yet, and restic takes no empty snapshot: a file that no restore brings back says so.
  patient backup --tag media --host "$SERVER_NAME" --stdin --stdin-filename .nothing <<<'no media yet'
fi
patient forget --tag media --group-by tags --keep-within "${KEEP_MEDIA}d" --prune
patient check
say "media: backed up"
