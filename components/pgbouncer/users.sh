# Write PgBouncer's list of users where only memory holds it: pairs of a role and the file of its password.
set -eu
umask 077
while [ $# -gt 0 ]; do
  printf '"%s" "%s"\n' "$1" "$(sed 's/"/""/g' "$2")"
  shift 2
done >/run/pgbouncer/users
