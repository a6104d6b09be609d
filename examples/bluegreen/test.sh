#!/usr/bin/env bash
# Deploys with both apps under traffic that never retries: a good release, a release that is not what it says, a good one
# again, and a rollback. Nothing may be lost.
set -euo pipefail
cd "$(dirname "$0")"
rm -rf run && mkdir -p run
go build -o run/app-go ./app-go
go build -o run/watch ../watch
export SLUICE_ADMIN=unix:///tmp/sluice-example.sock
sluice run --config sluice.yaml >run/sluice.log 2>&1 & sluice_pid=$!
watch_pid=
finish() {
  code=$?
  [ $code = 0 ] || tail -n 20 run/sluice.log
  kill $watch_pid $sluice_pid "$(cat run/3001.pid 2>/dev/null)" "$(cat run/3002.pid 2>/dev/null)" 2>/dev/null || true
}
trap finish EXIT
for _ in {1..50}; do sluice status >/dev/null 2>&1 && break; sleep 0.1; done

./deploy.sh v1 node app-node/server.js
run/watch -url http://127.0.0.1:8080/ >run/watch.txt & watch_pid=$!
./deploy.sh v2 node app-node/server.js
if ./deploy.sh v3 env RELEASE=v2 node app-node/server.js; then echo "a release that lies about itself was let through"; exit 1; fi
curl -fs http://127.0.0.1:8080/ | grep -q v2
./deploy.sh v4 run/app-go
sluice rollback web
curl -fs http://127.0.0.1:8080/ | grep -q v2
sluice history web
kill -INT $watch_pid; wait $watch_pid
cat run/watch.txt
