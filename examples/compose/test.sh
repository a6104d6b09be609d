#!/usr/bin/env bash
# Validates the compose file, and goes through a life of the app under traffic that never retries: one container, three, a new
# release in their place, one that does not start, a rollback, one container. Nothing may be lost. No engine runs
# here: a stand-in runs each container as a process, and names it in a DNS server of its own.
set -euo pipefail
cd "$(dirname "$0")"
rm -rf run .env && mkdir -p run/bin run/containers run/state
real=$(command -v docker || true)
export STANDIN=$PWD/run FRONT=http://127.0.0.1:8080 PATIENCE=5s SLUICE_ADMIN=unix://$PWD/run/admin.sock
go build -o run/bin/docker ./standin
go build -o run/watch ../watch
export PATH=$PWD/run/bin:$PATH

docker compose config -q
sluice check sluice.yaml
if [ -n "$real" ] && "$real" compose version >/dev/null 2>&1; then
  "$real" compose config -q
else
  echo "SKIPPED: no docker compose here, so only the stand-in has validated compose.yaml"
fi

# The configuration as it is, but for the places, and the DNS server, which Docker names in /etc/resolv.conf.
sed -e "s,http://:8080,$FRONT,; s,/run/sluice/admin.sock,$PWD/run/admin.sock,; s,/var/lib/sluice,$PWD/run/state," sluice.yaml >run/sluice.yaml
printf 'access_log: %s\ndns: {servers: ["127.0.0.1:15353"]}\n' "$PWD/run/access.log" >>run/sluice.yaml
docker dns 127.0.0.1:15353 & dns=$!
watch_pid=
finish() {
  code=$?
  [ $code = 0 ] || tail -n 20 run/sluice.log
  kill $watch_pid 2>/dev/null || true
  docker compose down
  kill $dns
  rm -f .env
}
trap finish EXIT

docker compose up -d
for _ in {1..100}; do curl -fs $FRONT/ >/dev/null && break; sleep 0.1; done
run/watch -url $FRONT/ >run/watch.txt & watch_pid=$!
./scale.sh 3
./deploy.sh v2
if ./deploy.sh broken; then echo "a release that does not start was let through"; exit 1; fi
docker compose exec -T sluice /sluice status
./deploy.sh v4
docker compose exec -T sluice /sluice rollback web
./scale.sh 1
sleep 1
kill -INT $watch_pid; wait $watch_pid
cat run/watch.txt
