#!/usr/bin/env bash
# Installs the programs that the tests start, where they are missing. On a machine without apt-get it only says so.
set -euo pipefail
declare -A package=([nginx]=nginx [haproxy]=haproxy [wrk]=wrk [chromium]=chromium [shellcheck]=shellcheck
  [node]=nodejs [python3]=python3 [curl]=curl [jq]=jq [systemd-analyze]=systemd
  [apache2]=apache2-bin) # the program and its modules alone: nothing that starts a service
missing=()
for program in "${!package[@]}"; do
  command -v "$program" >/dev/null || missing+=("${package[$program]}")
done
may_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }
if may_install; then # examples/expand-contract takes SQLite where these cannot be had
  compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
  /usr/bin/python3 -c 'import psycopg2' 2>/dev/null || missing+=(python3-psycopg2)
fi
[ ${#missing[@]} -eq 0 ] && exit 0
if ! may_install; then
  echo "missing: ${missing[*]}; install them, then run this again" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
if [ ! -e /etc/postgresql-common/createcluster.conf ]; then # the programs alone: no database that is started
  mkdir -p /etc/postgresql-common
  echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
fi
apt-get update -q
apt-get install -qy --no-install-recommends "${missing[@]}"
