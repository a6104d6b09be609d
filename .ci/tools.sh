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
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "missing: ${missing[*]}; install them, then run this again" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -qy --no-install-recommends "${missing[@]}"
