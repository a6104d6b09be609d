#!/usr/bin/env bash
# Ends the sidecar while a slow request is inside: the request is answered, then both programs are gone.
set -euo pipefail
cd "$(dirname "$0")"
rm -rf run && mkdir -p run
export SLUICE_ADMIN=unix://$PWD/run/admin.sock XDG_STATE_HOME=$PWD/run/state LISTEN=127.0.0.1:8080 PORT=3001 RELEASE=v1
cat >run/slow.js <<'JS'
require('node:http').createServer((req, res) => {
  if (req.url === '/slow') setTimeout(() => res.end('slow but whole\n'), 2000); else res.end('ok\n');
}).listen(Number(process.env.PORT), '127.0.0.1');
JS
./start.sh node run/slow.js >run/log 2>&1 & both=$!
trap 'kill $both 2>/dev/null || true' EXIT
for _ in {1..100}; do curl -fs http://127.0.0.1:8080/ >/dev/null 2>&1 && break; sleep 0.1; done
curl -fs http://127.0.0.1:8080/slow >run/answer & asking=$!
sleep 0.5
kill -TERM $both
wait $asking
grep -q 'slow but whole' run/answer
wait $both || true
if curl -fs http://127.0.0.1:3001/ >/dev/null 2>&1; then echo "the app was left behind"; exit 1; fi
echo "the slow request was answered, then both were gone"
