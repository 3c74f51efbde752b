#!/bin/sh
# Unpack programs of newer Debian suites into a folder: `newer.sh LIST FOLDER`. Each program comes with every library that it
# needs, down to the C library, and FOLDER/bin/NAME starts it by its own dynamic loader. Nothing of the machine is changed:
# apt has its own lists, cache and an empty status file here.
set -eu
list=$1
mkdir -p "$2"
folder=$(cd "$2" && pwd)
suites='trixie trixie-backports forky sid'
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

mkdir -p "$folder/apt/lists/partial" "$folder/apt/archives/partial" "$folder/bin"
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

sed 's/#.*//' "$list" | while read -r path package wanted; do
  [ -n "$path" ] || continue
  # The newest of those that begin so: suites go on, and the image's version does not.
  version=$(apt-cache madison "$package" | awk -v wanted="$wanted" '$3 ~ "^([0-9]+:)?" wanted "[.-]" { print $3; exit }')
  [ -n "$version" ] || { echo "$package: no version $wanted in $suites" >&2; exit 1; }
  name=${path##*/} root="$folder/$package"
  rm -rf "$root" "$folder/apt/archives"
  mkdir -p "$root" "$folder/apt/archives/partial"
  # shellcheck disable=SC2094
  apt-get install -qq --yes --download-only "$package=$version" </dev/null >"$folder/apt/log" 2>&1 || {
    cat "$folder/apt/log" >&2
    exit 1
  }
  for archive in "$folder"/apt/archives/*.deb; do
    dpkg-deb --extract "$archive" "$root"
  done
  # The folder may be bound to another path where the program runs: the script looks for itself.
  cat >"$folder/bin/$name" <<START
#!/bin/sh
# $package $version of Debian
here=\$(dirname "\$(dirname "\$(readlink -f "\$0")")")/$package
exec "\$here"/usr/lib64/ld-linux-*.so.* --argv0 "\$0" --library-path "\$(echo "\$here"/usr/lib/*-linux-gnu)" "\$here$path" "\$@"
START
  chmod 755 "$folder/bin/$name"
  echo "$package $version"
done
rm -rf "$folder/apt/archives" "$folder/apt/lists"
