#!/usr/bin/env bash
# The real Claude CLI for tests: its packages, and an image for an engine that engine.sh brought up.
#   claude.sh packages VERSION  fetches @anthropic-ai/claude-code@VERSION once (a minute), and prints the file that runs
#   claude.sh image VERSION     makes opsbot/claude, where `engine.sh env` points, with what that version loads; itself it is mounted
# It is kept under OPSBOT_RIG, or TMPDIR, like engine.sh's: the newer one has a third of a gigabyte.
set -euo pipefail
BASE=${OPSBOT_RIG:-${TMPDIR:-/tmp}/opsbot-rig}
fail() { echo "claude.sh: $*" >&2; exit 1; }
NODE=$(cd "$(dirname "$0")/../.." && pwd)/node_modules/node/bin/node
[ -x "$NODE" ] || fail "there is no $NODE: run npm ci first"

packages() {
  local version=$1 dir=$BASE/claude-$1-1 file # count up when what is in it changes
  mkdir -p "$BASE"
  # Two that ask at once must not both fetch, nor one use what the other has half done.
  exec 9> "$dir.lock"
  flock -w 280 9 || fail "another process has been fetching the CLI $version for too long"
  if [ ! -e "$dir/.ok" ]; then
    rm -rf "$dir"; mkdir -p "$dir"
    echo '{"private":true}' > "$dir/package.json"
    # Its own script would only copy the native binary, which its package for this platform has already.
    (cd "$dir" && PATH=$(dirname "$NODE"):$PATH npm install --no-audit --no-fund --loglevel=error --fetch-retries=3 \
      --ignore-scripts "@anthropic-ai/claude-code@$version" < /dev/null > npm.log 2>&1) \
      || { tail -n 5 "$dir/npm.log" | cut -c1-300 >&2; fail "npm could not install the CLI $version"; }
    touch "$dir/.ok"
  fi
  for file in "$dir"/node_modules/@anthropic-ai/claude-code{-linux-x64/claude,/cli.js}; do
    [ ! -e "$file" ] || { echo "$file"; return; }
  done
  fail "the CLI $version has neither a native binary for this platform nor a cli.js"
}

image() { # busybox and Node, with the libraries that both versions load
  ! docker image inspect opsbot/claude > /dev/null 2>&1 || return 0
  local busybox=${DOCKER_CONFIG%/config}/bin/busybox root file; root=$(mktemp -d); trap "rm -rf '$root'" EXIT
  mkdir -p "$root"/{bin,etc,tmp,root,proc,sys,dev,usr/bin,usr/local/bin,home/node/.claude}
  chmod 1777 "$root/tmp"
  cp "$busybox" "$root/bin/busybox"
  for file in $("$busybox" --list); do [ -e "$root/bin/$file" ] || ln -s busybox "$root/bin/$file"; done
  ln -s /bin/env "$root/usr/bin/env"
  cp "$NODE" "$root/usr/local/bin/node"
  for file in $(ldd "$NODE" "$(packages "$1")" | grep -o '/[^ ]*$\|/[^ ]* ' | grep '\.so' | sort -u) /lib/*/libnss_{files,dns}.so.2 /lib/*/libresolv.so.2; do
    install -D -m 755 "$(readlink -f "$file")" "$root$file"
  done
  printf 'hosts: files dns\n' > "$root/etc/nsswitch.conf"
  printf 'root:x:0:0:root:/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n' > "$root/etc/passwd"
  printf 'root:x:0:\nnode:x:1000:\n' > "$root/etc/group"
  chown -R 1000:1000 "$root/home/node"
  tar -C "$root" --numeric-owner -c . | docker import -c 'ENV PATH=/usr/local/bin:/usr/bin:/bin' -c 'USER node' -c 'WORKDIR /home/node' \
    -c 'CMD ["sleep", "infinity"]' - opsbot/claude:latest > /dev/null
}

case ${1:-} in
  packages) packages "${2:?a version}" ;;
  image) image "${2:?a version}" ;;
  *) sed -n 2,5p "$0"; exit 2 ;;
esac
