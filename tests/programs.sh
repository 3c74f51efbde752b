#!/bin/sh
# Unpack programs of newer Debian suites into one root: `programs.sh LIST FOLDER`. FOLDER/debian has them with everything that
# they need, down to the C library, FOLDER/bin/NAME starts one by that library's own loader, and FOLDER/versions says what each
# package is. Nothing of the machine is changed: apt has its own lists, cache and an empty status file here.
set -eu
list=$1
mkdir -p "$2"
folder=$(cd "$2" && pwd)
suites='trixie trixie-backports forky sid experimental'
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

rm -rf "$folder/debian" "$folder/bin" "$folder/apt" "$folder/versions"
mkdir -p "$folder/apt/lists/partial" "$folder/apt/archives/partial" "$folder/bin" "$folder/debian"
: >"$folder/apt/status"
for suite in $suites; do
  echo "deb [signed-by=$keyring] http://deb.debian.org/debian $suite main"
done >"$folder/apt/sources.list"
cat >"$folder/apt/apt.conf" <<CONF
Dir::State "$folder/apt";
Dir::State::status "$folder/apt/status";
Dir::Cache "$folder/apt";
Dir::Etc::SourceList "$folder/apt/sources.list";
Dir::Etc::SourceParts "-";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
CONF
export APT_CONFIG="$folder/apt/apt.conf" DEBIAN_FRONTEND=noninteractive
apt-get update -qq

# The newest of those that begin so: suites go on, and the image's version does not.
sed 's/#.*//' "$list" | while read -r package wanted _; do
  [ -n "$package" ] || continue
  [ "$wanted" != - ] || { echo "$package"; continue; }
  version=$(apt-cache madison "$package" | awk -v w="$wanted" '$3 ~ "^" w "[.~-]" { print $3; exit }')
  [ -n "$version" ] || { echo "$package: no version $wanted in $suites" >&2; exit 1; }
  echo "$package=$version"
done >"$folder/wanted"

# shellcheck disable=SC2046
apt-get install -qq --yes --download-only $(cat "$folder/wanted") </dev/null >"$folder/apt/log" 2>&1 || {
  cat "$folder/apt/log" >&2
  exit 1
}
for archive in "$folder"/apt/archives/*.deb; do
  dpkg-deb --fsys-tarfile "$archive" | tar --extract --keep-directory-symlink --directory "$folder/debian"
done
# What maintainers' scripts would have made.
ln -sf gawk "$folder/debian/usr/bin/awk"
cat "$folder"/debian/usr/share/ca-certificates/mozilla/*.crt >"$folder/debian/etc/ssl/certs/ca-certificates.crt"
rm -rf "$folder/debian/usr/share/doc" "$folder/debian/usr/share/man" "$folder/debian/usr/share/locale"
for place in opt root tmp run; do mkdir -p "$folder/debian/$place"; done

# Those that tests and scenarios call outside of a Pod.
for inside in /usr/sbin/haproxy /usr/bin/promtool /usr/bin/amtool /usr/bin/prometheus-blackbox-exporter /usr/bin/restic \
  /usr/bin/rclone /usr/bin/redis-server /usr/bin/age /usr/bin/age-keygen; do
  cat >"$folder/bin/${inside##*/}" <<START
#!/bin/sh
root=\$(dirname "\$(dirname "\$(readlink -f "\$0")")")/debian
exec "\$root"/usr/lib64/ld-linux-*.so.* --argv0 "\$0" --library-path "\$(echo "\$root"/usr/lib/*-linux-gnu)" "\$root$inside" "\$@"
START
  chmod 755 "$folder/bin/${inside##*/}"
done
sed -n 's/=/ /p' "$folder/wanted" >"$folder/versions"
rm -rf "$folder/apt" "$folder/wanted"
