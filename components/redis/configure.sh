# Redis reads its password from its configuration: join both in memory, readable by its user only.
set -eu
umask 077
{
  cat /etc/redis/redis.conf
  printf 'requirepass %s\n' "$(cat "$1")"
} >/run/redis/redis.conf
