#!/usr/bin/env bash
# Debian's Chromium without a screen, for tests, as root on Debian: nothing is installed on the host.
#   browser.sh   fetches it once (half a minute), and prints the directory that it is unpacked in
# It is kept under OPSBOT_RIG, or TMPDIR, like engine.sh's packages.
set -euo pipefail
SUITE=$(. /etc/os-release; echo "$VERSION_CODENAME")
DIR=${OPSBOT_RIG:-${TMPDIR:-/tmp}/opsbot-rig}/chromium-$SUITE-1 # count up when what is in it changes
fail() { echo "browser.sh: $*" >&2; exit 1; }

mkdir -p "$(dirname "$DIR")"
exec 9> "$DIR.lock"
flock -w 280 9 || fail 'another process has been fetching Chromium for too long'
[ ! -e "$DIR/.ok" ] || { echo "$DIR"; exit 0; }
rm -rf "$DIR"
apt=$DIR/apt
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
# Wherever this machine takes its packages from, with lists of our own: what the system knows does not change.
mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' "Codename: $SUITE" | head -n 1)
[ -n "$mirror" ] || fail "apt knows no source of $SUITE: run apt-get update first"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $SUITE main" > "$apt/sources.list"
own_apt() {
  apt-get -qq -y -o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
    -o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o Acquire::Languages=none -o Acquire::Retries=3 \
    -o APT::Sandbox::User=root -o Debug::NoLocking=1 "$@"
}
{
  own_apt update
  # With all that it needs and this machine does not have.
  own_apt install --download-only --no-install-recommends chromium-headless-shell
} > "$DIR/apt.log" 2>&1 < /dev/null || { tail -n 5 "$DIR/apt.log" | cut -c1-300 >&2; fail 'apt could not fetch chromium-headless-shell'; }
for deb in "$apt"/cache/archives/*.deb; do dpkg -x "$deb" "$DIR"; done
rm -rf "$apt"
touch "$DIR/.ok"
echo "$DIR"
