#!/usr/bin/env bash
# Checks the units with systemd's own tools, and then does with them what systemd would do, under traffic that never retries: deploys
# two releases, refuses one that is not what it says, and restarts Sluice. Nothing may be lost. At last Sluice is killed; then
# what was inside is lost with it, but nobody is refused.
set -euo pipefail
cd "$(dirname "$0")"
rm -rf run && mkdir -p run/bin run/app/releases run/state
export UNITS=$PWD/run PATIENCE=5s APP=$PWD/run/app FRONT=http://127.0.0.1:8080 SLUICE_ADMIN=unix://$PWD/run/admin.sock
go build -o run/bin/systemctl ./standin
go build -o run/watch ../watch
export PATH=$PWD/run/bin:$PATH

# The units as they are, but for the places.
here() { sed -e "s,/usr/local/bin/sluice,$(command -v sluice),; s,/etc/sluice/,$PWD/run/,; s,/etc/app/,$PWD/run/,; s,/srv/app,$APP," \
  -e "s,=80\$,=127.0.0.1:8080,; s,http://:80\$,http://127.0.0.1:8080,; s,/run/sluice/admin.sock,$PWD/run/admin.sock,; s,/var/lib/sluice,$PWD/run/state," "$1" >"run/$1"; }
for file in sluice.socket sluice.service app@.service sluice.yaml; do here "$file"; done
echo 'access_log: run/access.log' | sed "s,run/,$PWD/run/," >>run/sluice.yaml
sluice check sluice.yaml
echo PORT=3001 >run/blue.env; echo PORT=3002 >run/green.env
for release in v1 v2 v3; do
  mkdir "run/app/releases/$release"
  says=$release; [ $release != v3 ] || says=v2   # one that is not what it should be
  printf '#!/bin/sh\nexport RELEASE=%s\nexec node %s\n' "$says" "$PWD/../bluegreen/app-node/server.js" >"run/app/releases/$release/start"
  chmod +x "run/app/releases/$release/start"
done
ln -s releases/v1 run/app/blue; ln -s releases/v1 run/app/green

ln -s app@.service run/app@blue.service
if command -v systemd-analyze >/dev/null; then
  systemd-analyze verify run/sluice.socket run/sluice.service run/app@blue.service
  systemd-analyze security --offline=true --no-pager --threshold=20 run/sluice.service | tail -n 1
else
  echo "SKIPPED: no systemd-analyze here, so the units were not verified (Debian: apt install systemd)"
fi

systemctl serve & systemd=$!
watch_pid=
finish() {
  code=$?
  [ $code = 0 ] || tail -n 20 run/sluice.log
  kill $watch_pid $systemd 2>/dev/null || true
  wait
}
trap finish EXIT
for _ in {1..50}; do [ -S run/systemctl ] && break; sleep 0.1; done
systemctl start app@blue
systemctl start sluice
for _ in {1..50}; do curl -fs $FRONT/ >/dev/null && break; sleep 0.1; done

run/watch -url $FRONT/ >run/watch.txt & watch_pid=$!
./deploy.sh v2
systemctl restart sluice
if ./deploy.sh v3; then echo "a release that lies about itself was let through"; exit 1; fi
./deploy.sh v1
systemctl restart sluice
curl -fs $FRONT/ | grep -q v1
kill -INT $watch_pid; wait $watch_pid
cat run/watch.txt

run/watch -url $FRONT/ >run/killed.txt 2>&1 & watch_pid=$!
sleep 1; systemctl kill sluice; sleep 1
for _ in {1..50}; do sluice status >/dev/null 2>&1 && break; sleep 0.1; done
curl -fs $FRONT/ | grep -q v1
kill -INT $watch_pid; wait $watch_pid || true
tail -n 1 run/killed.txt
if grep -q refused run/killed.txt; then echo "somebody was refused"; exit 1; fi
