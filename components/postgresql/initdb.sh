# Create the data directory where there is none. Synapse refuses any locale but C
# (synapse/storage/engines/postgres.py): with another, an upgrade of libc silently reorders indexes.
#
# initdb.sh DATA [WORD]: WORD is of a restore from a dump, before which a data directory of another major version goes aside.
set -eu
data=$1
ours=$(initdb --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
if [ -s "$data/PG_VERSION" ]; then
  there=$(cat "$data/PG_VERSION")
  if [ "$there" = "$ours" ]; then
    echo "data directory of PostgreSQL $there is there"
    exit 0
  fi
  if [ -z "${2-}" ]; then
    echo "data directory is of PostgreSQL $there and this is $ours, expected $there; see docs/restore.md, \"PostgreSQL's next major version\"" >&2
    exit 1
  fi
  before=${data%/*}/before-$2
  if [ -e "$before" ]; then
    echo "$before is there already; give this restore another name" >&2
    exit 1
  fi
  mv "$data" "$before"
  echo "data directory of PostgreSQL $there is in $before"
fi
# Made aside and renamed, so that a start that is cut off leaves nothing that looks whole.
rm -rf "$data.new"
initdb --pgdata="$data.new" --username=postgres --encoding=UTF8 --locale=C --data-checksums \
  --auth-local=peer --auth-host=scram-sha-256 --set huge_pages=off
mv "$data.new" "$data"
