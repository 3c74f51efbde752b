# Copy local media from its bucket to the one of backups. What is there is never overwritten or removed: media does not change, and
# Synapse's storage provider removes nothing from its bucket either. What other servers have is theirs to keep.
. /etc/backup/lib.sh
with_copy
rclone copy --ignore-existing --exclude '/remote_*/**' --exclude '/url_cache*/**' "$PLACE_MEDIA" copy:
date -u +%FT%TZ | rclone rcat copy:copied
say "media-copy: done"
