# Create the data directory where there is none. Synapse refuses any locale but C
# (synapse/storage/engines/postgres.py): with another, an upgrade of libc silently reorders indexes.
set -eu
data=$1
if [ -s "$data/PG_VERSION" ]; then
  echo "data directory of PostgreSQL $(cat "$data/PG_VERSION") is there"
  exit 0
fi
# Made aside and renamed, so that a start that is cut off leaves nothing that looks whole.
rm -rf "$data.new"
initdb --pgdata="$data.new" --username=postgres --encoding=UTF8 --locale=C --data-checksums \
  --auth-local=peer --auth-host=scram-sha-256
mv "$data.new" "$data"
