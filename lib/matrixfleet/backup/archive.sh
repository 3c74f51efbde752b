# pgBackRest reads its keys from its configuration: join both in memory, readable by its user only.
set -eu
umask 077
# A file as the AWS tools read it.
value() { sed -n "s/^[[:space:]]*$1[[:space:]]*=[[:space:]]*//p" /secrets/backup/credentials | head -n 1; }
{
  cat /etc/backup/pgbackrest.conf
  printf '\n[global]\nrepo1-s3-key=%s\nrepo1-s3-key-secret=%s\nrepo1-cipher-pass=%s\n' \
    "$(value aws_access_key_id)" "$(value aws_secret_access_key)" "$(cat /secrets/backup-key/passphrase)"
} >/run/backup/pgbackrest.conf
