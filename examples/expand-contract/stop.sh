#!/usr/bin/env bash
# stop.sh POOL: ends what runs in a pool, however you stop yours: systemctl, docker, ssh.
set -euo pipefail
[ -f "run/$1.pid" ] || exit 0
pid=$(cat "run/$1.pid")
kill "$pid" 2>/dev/null || true
while grep -qs '^State:.[^Z]' "/proc/$pid/status"; do sleep 0.05; done   # a zombie has ended
rm "run/$1.pid"
