# The archive's duties by pgBackRest, for scripts that sourced lib.sh: who calls one in a condition has no `set -e` in it. Its
# configuration and its keys are joined in memory, readable by its user only.
if [ ! -s "$PGBACKREST_CONFIG" ]; then
  # A file as the AWS tools read it.
  value() { sed -n "s/^[[:space:]]*$1[[:space:]]*=[[:space:]]*//p" /secrets/backup/credentials | head -n 1; }
  {
    cat /etc/backup/pgbackrest.conf
    printf '\n[global]\nrepo1-s3-key=%s\nrepo1-s3-key-secret=%s\nrepo1-cipher-pass=%s\n' \
      "$(value aws_access_key_id)" "$(value aws_secret_access_key)" "$(cat /secrets/backup-key/passphrase)"
  } >"$PGBACKREST_CONFIG.new"
  mv "$PGBACKREST_CONFIG.new" "$PGBACKREST_CONFIG"
fi

# Whether anything was ever archived. A bucket that cannot be asked is no empty one.
archived() {
  local said
  said=$(pgbackrest --stanza=synapse --log-level-console=warn --output=text info) || fail "archive: $said"
  case $said in
    *"missing stanza"*) return 1 ;;
    *"status: error (other)"*) fail "archive: $said" ;;
  esac
}

# The archive is this server's: another's is never taken over; and the log arrives in it.
arrives() {
  # Does nothing where it is there.
  pgbackrest --stanza=synapse --log-level-console=warn stanza-create
  pgbackrest --stanza=synapse --log-level-console=warn check
}

# Every base backup, oldest first: when it was done, full or diff, its name.
backups() {
  local kind time name
  pgbackrest --stanza=synapse --output=text info |
    sed -nE 's/^ *(full|diff|incr) backup: (.*)/\1 \2/p; s/.*timestamp start\/stop: .* \/ //p' |
    while read -r kind name && read -r time; do echo "$(date -d "$time" +%s) $kind $name"; done
}

# Make one, full or diff; what is older than is kept goes.
base_backup() { pgbackrest --stanza=synapse --type="$1" backup; }

# Whether what is stored is whole, as far as can be told without reading all of it.
whole() {
  case $(pgbackrest --stanza=synapse --output=text info) in
    *"status: ok"*) ;;
    *) return 1 ;;
  esac
}

# Fill the empty data directory as it was before a moment, or as it is now; PostgreSQL replays its log then.
fetched() {
  local until=()
  [ -z "$1" ] || until=(--type=time --target="$(date -u -d "$1" '+%F %T+00')" --target-action=promote)
  [ -z "${TIMELINE-}" ] || until+=(--target-timeline="$TIMELINE")
  pgbackrest --stanza=synapse "${until[@]}" restore
}
