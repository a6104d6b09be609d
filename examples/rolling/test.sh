#!/usr/bin/env bash
# Rolls a release over three servers under traffic that never retries, then one that does not start: the roll stops there.
set -euo pipefail
cd "$(dirname "$0")"
rm -rf run && mkdir -p run
go build -o run/watch ../watch
export SLUICE_ADMIN=unix:///tmp/sluice-example.sock
app=(node ../bluegreen/app-node/server.js)
for port in 3001 3002 3003; do
  PORT=$port RELEASE=v1 "${app[@]}" >"run/$port.log" 2>&1 & echo $! >"run/$port.pid"
done
sluice run --config sluice.yaml >run/sluice.log 2>&1 & sluice_pid=$!
watch_pid=
finish() {
  code=$?
  [ $code = 0 ] || tail -n 20 run/sluice.log
  kill $watch_pid $sluice_pid 2>/dev/null || true
  for port in 3001 3002 3003; do kill "$(cat "run/$port.pid")" 2>/dev/null || true; done
}
trap finish EXIT
for _ in {1..100}; do curl -fs http://127.0.0.1:8080/ >/dev/null 2>&1 && break; sleep 0.1; done

run/watch -url http://127.0.0.1:8080/ >run/watch.txt & watch_pid=$!
./roll.sh v2 "${app[@]}"
if ./roll.sh v3 false; then echo "a release that does not start was rolled out"; exit 1; fi
sluice status web
kill -INT $watch_pid; wait $watch_pid
cat run/watch.txt
grep -q 'v2:' run/watch.txt
