# Before PostgreSQL starts: what reads the archive is ready; and an empty volume where there was a server is no new tenant.
. /etc/backup/lib.sh
. /etc/backup/archiver.sh
if [ ! -s /var/lib/postgresql/data/PG_VERSION ] && [ -z "${RESTORE-}" ] && archived; then
  fail "archive: the volume is empty and there is an archive of this tenant's server. Restore it (docs/restore.md); \
or, for a tenant that begins anew, say another backup.bucket.prefix"
fi
say "archive: ready"
