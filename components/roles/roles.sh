# Give the login role $1 the mounted password; the other login role keeps its own. Who and where is in libpq's variables.
set -eu
tries=0
# The server may answer before it knows this role: the reconciler beside it makes it.
until psql -Xqc 'SELECT 1' >/dev/null 2>&1; do
  tries=$((tries + 1))
  [ $tries -lt 150 ] || { psql -Xqc 'SELECT 1'; echo "$PGUSER cannot log in at $PGHOST after five minutes" >&2; exit 1; }
  sleep 2
done
psql -Xq -v ON_ERROR_STOP=1 -v role="$1" -f /etc/postgresql/password.sql
echo "$1 has its password"
