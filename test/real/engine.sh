#!/usr/bin/env bash
# A Docker engine with Compose of its own, for tests, as root on Debian: nothing is installed, nothing on the host changes for good.
#   engine.sh COMMAND [SUITE] [NAME]
#     up      brings it up (a minute the first time, then 2 s) with the image opsbot/busybox
#     start   the engine alone, after term or kill          term, kill, stop, cont   sends dockerd that signal
#     env     prints what a client needs, NAME=value        down   ends it and removes everything but the packages
#     gc      removes what is left of one that was killed
#   SUITE is the Debian release that engine and Compose come from: trixie (26.1 + 2.26, default) or forky (28 + 2.40).
#   NAME is another engine from the same packages. Packages are kept under OPSBOT_RIG, or TMPDIR.
set -euo pipefail
COMMAND=${1:-} SUITE=${2:-trixie} NAME=${3:-}
BASE=${OPSBOT_RIG:-${TMPDIR:-/tmp}/opsbot-rig}
PKG=$BASE/docker-$SUITE-1 # count up when what is in it changes
RUN=$BASE/$SUITE${NAME:+-$NAME}
case $SUITE/$NAME in trixie/) SUBNET=10.241 ;; forky/) SUBNET=10.242 ;; */bench) SUBNET=10.244 ;; */pairing) SUBNET=10.245 ;; */claude) SUBNET=10.246 ;; */sync) SUBNET=10.247 ;; *) SUBNET=10.243 ;; esac
BRIDGE=opsbot${SUBNET#10.}
CGROUP=opsbot-${SUBNET#10.}
SOCKET=$RUN/docker.sock
export PATH=$PKG/usr/bin:$PKG/usr/sbin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export DOCKER_HOST=unix://$SOCKET DOCKER_CONFIG=$PKG/config
fail() { echo "engine.sh: $*" >&2; exit 1; }

# An apt with lists and a cache of its own: what the system knows does not change.
own_apt() {
  local dir=$1; shift
  apt-get -qq -o "Dir::Etc::sourcelist=$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
    -o "Dir::State::lists=$dir/lists" -o "Dir::Cache=$dir/cache" -o Acquire::Languages=none -o Acquire::Retries=3 \
    -o APT::Sandbox::User=root "$@"
}

fetch() { # RELEASE PACKAGE...
  local release=$1 dir=$PKG/apt-$1 mirror keys=/usr/share/keyrings/debian-archive-keyring.gpg; shift
  mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
  # Wherever this machine takes its packages from.
  mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' "Codename: $HOST_SUITE" | head -n 1)
  [ -n "$mirror" ] || fail "apt knows no source of $HOST_SUITE: run apt-get update first"
  echo "deb [signed-by=$keys] $mirror $release main" > "$dir/sources.list"
  own_apt "$dir" update
  (cd "$dir" && own_apt "$dir" download "$@" && for deb in *.deb; do dpkg -x "$deb" "$PKG"; done)
  rm -rf "$dir"
}

packages() {
  [ ! -e "$PKG/.ok" ] || return 0
  rm -rf "$PKG"; mkdir -p "$PKG/config/cli-plugins"
  HOST_SUITE=$(. /etc/os-release; echo "$VERSION_CODENAME")
  fetch "$SUITE" docker.io docker-cli docker-compose containerd
  # runc of a newer release wants a newer libc; iptables serves the names of containers inside their own networks.
  local own=(runc tini busybox-static)
  command -v iptables > /dev/null || own+=(iptables libip4tc2 libip6tc2 libxtables12 libnftnl11 libnetfilter-conntrack3 libnfnetlink0 libmnl0)
  fetch "$HOST_SUITE" "${own[@]}"
  if [ -e "$PKG/usr/sbin/xtables-nft-multi" ]; then
    local lib; lib=$(dirname "$(find "$PKG/usr/lib" -name 'libxtables.so.12' | head -n 1)")
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%s XTABLES_LIBDIR=%s/xtables exec %s/usr/sbin/xtables-nft-multi iptables "$@"\n' "$lib" "$lib" "$PKG" > "$PKG/usr/bin/iptables"
    chmod +x "$PKG/usr/bin/iptables"
  fi
  ln -sf tini-static "$PKG/usr/bin/docker-init"
  ln -sf "$PKG/usr/libexec/docker/cli-plugins/docker-compose" "$PKG/config/cli-plugins/docker-compose"
  echo '{}' > "$PKG/config/config.json"
  touch "$PKG/.ok"
}

daemon_pid() { # only if it is ours
  local pid; pid=$(cat "$RUN/docker.pid" 2> /dev/null) && grep -qz -- "unix://$SOCKET" "/proc/$pid/cmdline" 2> /dev/null && echo "$pid"
}
answers() { timeout 2 docker version > /dev/null 2>&1; }

start() {
  ! daemon_pid > /dev/null || return 0
  mkdir -p "$RUN/data" "$RUN/exec"; rm -f "$RUN/docker.pid"
  ip link show "$BRIDGE" > /dev/null 2>&1 || { ip link add "$BRIDGE" type bridge && ip addr add "$SUBNET.0.1/24" dev "$BRIDGE"; }
  ip link set "$BRIDGE" up
  # containerd dies with a killed dockerd, but its pid file would make the next one wait for 10 s.
  local old; old=$(cat "$RUN/exec/containerd/containerd.pid" 2> /dev/null || true)
  [ -n "$old" ] && grep -qz -- "$RUN/exec" "/proc/$old/cmdline" 2> /dev/null || rm -f "$RUN/exec/containerd/containerd.pid"
  [ -e "$RUN/daemon.json" ] || echo '{}' > "$RUN/daemon.json"
  setsid dockerd --config-file "$RUN/daemon.json" -H "unix://$SOCKET" -p "$RUN/docker.pid" --data-root "$RUN/data" --exec-root "$RUN/exec" \
    --bridge "$BRIDGE" --fixed-cidr "$SUBNET.0.0/24" --default-address-pool "base=$SUBNET.128.0/17,size=24" --iptables=false \
    --ip6tables=false --ip-masq=false --ip-forward=false --cgroup-parent "/$CGROUP" --log-level warn >> "$RUN/dockerd.log" 2>&1 < /dev/null &
  local pid=$!
  for _ in {1..600}; do
    answers && return 0
    kill -0 $pid 2> /dev/null || { tail -n 5 "$RUN/dockerd.log" >&2; fail 'dockerd ended'; }
    sleep 0.05
  done
  fail "dockerd does not answer, see $RUN/dockerd.log"
}

image() { # busybox alone: made here, because no registry can be asked
  ! docker image inspect opsbot/busybox > /dev/null 2>&1 || return 0
  local root=$RUN/root applet; rm -rf "$root"; mkdir -p "$root"/{bin,etc,tmp,root,var,proc,sys,dev}; chmod 1777 "$root/tmp"
  cp "$PKG/bin/busybox" "$root/bin/busybox"
  for applet in $("$root/bin/busybox" --list); do [ -e "$root/bin/$applet" ] || ln -s busybox "$root/bin/$applet"; done
  printf 'root:x:0:0:root:/root:/bin/sh\n' > "$root/etc/passwd"
  tar -C "$root" --numeric-owner -c . | docker import -c 'CMD ["/bin/sh"]' - opsbot/busybox:latest > /dev/null
  rm -rf "$root"
}

signal() { local pid; pid=$(daemon_pid) || fail 'dockerd does not run'; kill "-$1" "$pid"; }
wait_end() { local i; for i in {1..400}; do daemon_pid > /dev/null || return 0; sleep 0.05; done; signal KILL; }

gc() { # processes by our own paths and cgroup, never by a broad name
  local file pid
  for file in /proc/[0-9]*/cmdline; do
    pid=${file#/proc/}; pid=${pid%/cmdline}
    if { tr '\0' ' ' < "$file"; } 2> /dev/null | grep -q -e "-address $RUN/exec/" -e "--config $RUN/exec/" -e "unix://$SOCKET "; then kill -KILL "$pid" 2> /dev/null || true; fi
  done
  find /sys/fs/cgroup -path "*/$CGROUP/*" -name cgroup.procs -exec cat {} + 2> /dev/null | sort -u | xargs -r kill -KILL 2> /dev/null || true
  sleep 0.2
  local point; awk -v run="$RUN/" 'index($5, run) == 1 {print $5}' /proc/self/mountinfo | sort -r | while read -r point; do umount -l "$point" || true; done
  find /sys/fs/cgroup -depth -type d -path "*/$CGROUP*" -exec rmdir {} + 2> /dev/null || true
  ip link del "$BRIDGE" 2> /dev/null || true
  rm -rf --one-file-system "$RUN"
}

case $COMMAND in
  up) packages; start; image ;;
  start) start ;;
  term) signal TERM; wait_end ;;
  kill) signal KILL; wait_end ;;
  stop) signal STOP ;;
  cont) signal CONT ;;
  env) printf '%s\n' "DOCKER_HOST=$DOCKER_HOST" "DOCKER_CONFIG=$DOCKER_CONFIG" "PATH=$PATH" ;;
  down)
    if daemon_pid > /dev/null; then
      signal CONT
      containers=$(timeout 20 docker ps -aq 2> /dev/null || true)
      [ -z "$containers" ] || timeout 60 docker rm -fv $containers > /dev/null || true
      signal TERM && wait_end
    fi
    gc ;;
  gc) gc ;;
  *) sed -n 2,9p "$0"; exit 2 ;;
esac
