#!/usr/bin/env bash
# Real OpenClaw for tests: its packages, and images for an engine that engine.sh brought up.
#   gateway.sh packages VERSION  fetches openclaw@VERSION once (a minute), and prints where it is
#   gateway.sh images            makes opsbot/openclaw:{old,new,nouser} and the sandbox's image, where `engine.sh env` points
# A package is mounted and never copied: it has half a gigabyte. It is kept under OPSBOT_RIG, or TMPDIR, like engine.sh's.
set -euo pipefail
BASE=${OPSBOT_RIG:-${TMPDIR:-/tmp}/opsbot-rig}
fail() { echo "gateway.sh: $*" >&2; exit 1; }
NODE=$(cd "$(dirname "$0")/../.." && pwd)/node_modules/node/bin/node
[ -x "$NODE" ] || fail "there is no $NODE: run npm ci first"

packages() {
  local version=$1 dir=$BASE/openclaw-$1-1 # count up when what is in it changes
  mkdir -p "$BASE"
  # Two that ask at once must not both fetch, nor one use what the other has half done.
  exec 9> "$dir.lock"
  flock -w 280 9 || fail "another process has been fetching openclaw@$version for too long"
  if [ ! -e "$dir/.ok" ]; then
    rm -rf "$dir"; mkdir -p "$dir"
    # Versions of early 2026 name a git repository, which no registry serves: these are its published twins.
    echo '{"private":true,"overrides":{"libsignal":"2.0.1","linkedom":"0.18.12"}}' > "$dir/package.json"
    # npm has to run on Node 24 too: on an older one it leaves a native package out, without which nothing is migrated.
    # The peer that is left out runs models on this machine, in 700 MB that no test needs; strip-ansi came with it.
    (cd "$dir" && PATH=$(dirname "$NODE"):$PATH npm install --no-audit --no-fund --loglevel=error --fetch-retries=3 \
      --omit=dev --omit=peer --ignore-scripts "openclaw@$version" strip-ansi@7 < /dev/null > npm.log 2>&1) \
      || { tail -n 5 "$dir/npm.log" | cut -c1-300 >&2; fail "npm could not install openclaw@$version"; }
    # The newer one does not start before this script ran.
    local after=$dir/node_modules/openclaw/scripts/postinstall-bundled-plugins.mjs
    [ ! -e "$after" ] || (cd "$dir" && "$NODE" "$after" > npm.log 2>&1) || fail "openclaw@$version could not finish its install"
    # What the older one compiles of its plugins at each first start, half a minute long: kept for the next container.
    mkdir -m 1777 "$dir/jiti"
    touch "$dir/.ok"
  fi
  echo "$dir/node_modules"
}

root() { # a small Debian, or what of it a gateway needs
  local root=$1 docker=$2 file
  mkdir -p "$root"/{bin,etc/ssl/certs,tmp,root,var/tmp,proc,sys,dev,app,node_modules,usr/bin,usr/local/bin,home/node/.openclaw}
  chmod 1777 "$root/tmp" "$root/var/tmp"
  cp "$BUSYBOX" "$root/bin/busybox"
  for file in $("$BUSYBOX" --list); do [ -e "$root/bin/$file" ] || ln -s busybox "$root/bin/$file"; done
  ln -s /bin/env "$root/usr/bin/env"
  cp "$NODE" "$root/usr/local/bin/node"; cp "$docker" "$root/usr/local/bin/docker"
  for file in $(ldd "$NODE" "$docker" | grep -o '/[^ ]*$\|/[^ ]* ' | grep '\.so' | sort -u) /lib/*/libnss_files.so.2 /lib/*/libnss_dns.so.2 /lib/*/lib{resolv.so.2,rt.so.1,util.so.1}; do
    install -D -m 755 "$(readlink -f "$file")" "$root$file"
  done
  [ ! -e /etc/ssl/certs/ca-certificates.crt ] || cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
  printf 'hosts: files dns\n' > "$root/etc/nsswitch.conf"
  printf 'root:x:0:0:root:/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n' > "$root/etc/passwd"
  printf 'root:x:0:\nnode:x:1000:\n' > "$root/etc/group"
  chown -R 1000:1000 "$root/home/node"
}

images() {
  ! docker image inspect opsbot/openclaw:nouser > /dev/null 2>&1 || return 0
  BUSYBOX=${DOCKER_CONFIG%/config}/bin/busybox
  local work; work=$(mktemp -d); trap "rm -rf '$work'" EXIT
  root "$work" "$(command -v docker)"
  tar -C "$work" --numeric-owner -c . | docker import -c 'ENV PATH=/usr/local/bin:/usr/bin:/bin' -c 'ENV NODE_ENV=production' \
    -c 'WORKDIR /app' -c 'USER node' -c 'EXPOSE 18789' -c 'CMD ["node", "dist/index.js"]' - opsbot/openclaw:old > /dev/null
  # What the images differ in is one small layer.
  layer new 'RUN ["ln", "-s", "/app/openclaw.mjs", "/usr/local/bin/openclaw"]'
  layer nouser 'USER root' 'RUN ["sed", "-i", "/^node:/d", "/etc/passwd", "/etc/group"]'
  docker tag opsbot/busybox openclaw-sandbox:bookworm-slim
}
layer() { # by the engine's own builder, which needs nothing that would have to be fetched
  local tag=$1; shift
  { echo 'FROM opsbot/openclaw:old'; [ "$tag" != new ] || echo 'USER root'; printf '%s\n' "$@"; [ "$tag" != new ] || echo 'USER node'; } \
    | DOCKER_BUILDKIT=0 docker build -q -t "opsbot/openclaw:$tag" - > /dev/null 2>&1 || fail "the image opsbot/openclaw:$tag could not be built"
}

case ${1:-} in
  packages) packages "${2:?a version}" ;;
  images) images ;;
  *) sed -n 2,5p "$0"; exit 2 ;;
esac
