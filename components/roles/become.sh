# Log in as Synapse does and become $1 at every login from now on. Who and where is in libpq's variables.
set -eu
PGPASSWORD=$(cat /secrets/database/password)
export PGPASSWORD
tries=0
until psql -Xqc "ALTER ROLE CURRENT_USER SET role = '$1'"; do
  tries=$((tries + 1))
  [ $tries -lt 150 ] || { echo "$PGUSER cannot log in at $PGHOST after five minutes" >&2; exit 1; }
  sleep 2
done
echo "$PGUSER is $1"
