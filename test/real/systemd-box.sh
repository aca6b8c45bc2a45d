#!/usr/bin/env bash
# A real systemd (Debian 12) booted in systemd-nspawn: nothing is installed on the host, all changes vanish at `down`.
#   systemd-box.sh build           makes the root file system once (half a minute) and keeps it under TMPDIR
#   systemd-box.sh up [ARGS...]    boots an overlay of it with nspawn's ARGS, prints the pid of its init
#   systemd-box.sh down            ends it
set -euo pipefail
BOX=${TMPDIR:-/tmp}/opsbot-rig/systemd-1 # count up when what is in it changes
SUITE=bookworm
export PATH=$BOX/tools/usr/bin:$PATH

build() {
  [ ! -e "$BOX/.ok" ] || return 0
  rm -rf "$BOX"
  mkdir -p "$BOX/apt/lists/partial" "$BOX/apt/cache/archives/partial" "$BOX/tools" "$BOX/tmp" "$BOX/root"
  # Wherever this machine takes its packages from.
  local mirror keys=/usr/share/keyrings/debian-archive-keyring.gpg
  mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' "Codename: $SUITE" | head -n 1)
  [ -n "$mirror" ] || { echo "apt knows no source of $SUITE: run apt-get update first" >&2; return 1; }
  local source="deb [signed-by=$keys] $mirror $SUITE main"
  echo "$source" > "$BOX/apt/sources.list"
  local options=(-qq -o "Dir::Etc::sourcelist=$BOX/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o Dir::Etc::preferencesparts=/dev/null -o "Dir::State::lists=$BOX/apt/lists" -o "Dir::Cache=$BOX/apt/cache"
    -o Acquire::Languages=none -o Acquire::Retries=3 -o APT::Sandbox::User=root)
  apt-get "${options[@]}" update
  (cd "$BOX/apt" && apt-get "${options[@]}" download mmdebstrap systemd-container && for deb in *.deb; do dpkg -x "$deb" "$BOX/tools"; done)
  TMPDIR=$BOX/tmp mmdebstrap --quiet --variant=essential --include=systemd-sysv,dbus,libstdc++6 \
    --aptopt='Acquire::Retries "3"' --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    $SUITE "$BOX/root.tar" "$source" < /dev/null
  tar -C "$BOX/root" -xf "$BOX/root.tar"
  rm -rf "$BOX/root.tar" "$BOX/apt" "$BOX/tmp"
  touch "$BOX/.ok"
}

init_pid() {
  local nspawn
  nspawn=$(cat "$BOX/nspawn.pid" 2> /dev/null) && kill -0 "$nspawn" 2> /dev/null && pgrep -P "$nspawn" -x systemd
}

# nspawn leaves these in both hierarchies of cgroup v1, and trips over one of them alone at its next start.
clean_cgroups() {
  find /sys/fs/cgroup/{unified,systemd}/{payload,supervisor} -depth -type d -exec rmdir {} \; 2> /dev/null || true
}

up() {
  build
  down
  # --register=no --keep-unit: this host needs neither D-Bus nor machined.
  setsid systemd-nspawn -q -D "$BOX/root" -M opsbot-box -b --register=no --keep-unit --console=pipe --volatile=overlay \
    "$@" < /dev/null > "$BOX/nspawn.log" 2>&1 &
  echo $! > "$BOX/nspawn.pid"
  local pid
  for _ in $(seq 300); do
    pid=$(init_pid || true)
    if [ -n "$pid" ]; then
      case $(nsenter -t "$pid" -a systemctl is-system-running 2> /dev/null || true) in
        running | degraded) echo "$pid"; return 0 ;;
      esac
    fi
    sleep 0.1
  done
  cat "$BOX/nspawn.log" >&2
  down
  return 1
}

down() {
  local pid nspawn
  nspawn=$(cat "$BOX/nspawn.pid" 2> /dev/null || true)
  pid=$(init_pid || true)
  # The box keeps nothing, so it need not end in order; SIGKILL of nspawn alone would leave its init running.
  if [ -n "$pid" ]; then kill -KILL "$pid" "$nspawn" 2> /dev/null || true; fi
  for _ in $(seq 100); do
    [ -n "$nspawn" ] && kill -0 "$nspawn" 2> /dev/null || break
    sleep 0.1
  done
  rm -f "$BOX/nspawn.pid"
  clean_cgroups
}

case ${1:-} in
  build | up | down) "$@" ;;
  *) sed -n 2,5p "$0"; exit 2 ;;
esac
