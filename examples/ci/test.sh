#!/usr/bin/env bash
# Goes through each way that a pipeline may end, under traffic that never retries: done, refused, written wrongly, unknown, cut, the
# smoke test failed, and a connection to the server that breaks in the middle. Nothing that Sluice may not cut may be lost.
set -euo pipefail
cd "$(dirname "$0")"
rm -rf run && mkdir -p run/bin
go build -o run/watch ../watch
go tool actionlint ../github-actions/deploy.yml
export SLUICE_ADMIN=unix:///tmp/sluice-example.sock FRONT=http://127.0.0.1:8080 CONFIG=sluice.yaml PATIENCE=2s
cat >run/app.js <<'JS'
const fs = require('node:fs');
const {PORT, RELEASE, PAGE} = process.env;
require('node:http').createServer((req, res) => {
  res.setHeader('X-Release', RELEASE);
  if (req.url === '/health') res.end(JSON.stringify({status: 'ok', version: RELEASE}));
  else if (req.url === '/slow') { const look = setInterval(() => { if (fs.existsSync('run/go')) { clearInterval(look); res.end('slow\n'); } }, 50); }
  else if (req.url === '/events') { res.setHeader('Content-Type', 'text/event-stream'); setInterval(() => res.write('data: x\n\n'), 50); }
  else res.end(`page of ${PAGE}\n`);
}).listen(Number(PORT), '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
JS
sluice run --config sluice.yaml >run/sluice.log 2>&1 & sluice_pid=$!
watch_pid='' rolled_pid='' rolls_pid=''
finish() {
  code=$?
  [ $code = 0 ] || tail -n 20 run/sluice.log
  kill $watch_pid $rolled_pid $rolls_pid $sluice_pid "$(cat run/blue.pid 2>/dev/null)" "$(cat run/green.pid 2>/dev/null)" 2>/dev/null || true
  for port in 3003 3004; do kill "$(cat "run/$port.pid" 2>/dev/null)" 2>/dev/null || true; done
}
trap finish EXIT
rolls() { # servers that are updated where they stand; the first command dies in the middle, and the second takes it up
  export SERVICE=api LEASE=2s
  UPDATE='touch run/begun; sleep 60' setsid ./roll.sh v2 >run/dies.txt 2>&1 & dies=$!
  until [ -f run/begun ]; do sleep 0.05; done
  kill -9 -- -$dies
  ./roll.sh v2   # waits for as long as the first one may live
  sluice status api --json | jq -e '.services[0].release == "v2"' >/dev/null
  if UPDATE='env BROKEN=v3 ./update.sh' ./roll.sh v3; then return 1; fi
  sluice status api --json | jq -e '.services[0].release == "v2"' >/dev/null
}
ends() { # CODE LIVE WORDS COMMAND…: how it has to end, which release is live then, and what it has to say
  local code=0 want=$1 release=$2 says=$3; shift 3
  "$@" >run/said.txt 2>&1 || code=$?
  cat run/said.txt
  [ $code = "$want" ] || { echo "exit code $code, not $want: $*"; exit 1; }
  grep -q "$says" run/said.txt || { echo "it does not say: $says"; exit 1; }
  curl -fs $FRONT/ | grep -q "$release" || { echo "$release is not live"; exit 1; }
}
inside() { until sluice status --inside --json | jq -e "[.. | .path? // empty] | any(. == \"$1\")" >/dev/null; do sleep 0.05; done; }

for port in 3003 3004; do SLUICE_PORT=$port SLUICE_RELEASE=v1 ./update.sh; done
./start.sh blue v1
for _ in {1..50}; do curl -fs $FRONT/ >/dev/null && break; sleep 0.1; done
run/watch -url $FRONT/ >run/watch.txt & watch_pid=$!
run/watch -url $FRONT/api/ >run/rolled.txt & rolled_pid=$!
rolls >run/rolls.txt 2>&1 & rolls_pid=$!
ends 0 v2 "v2 is live in green" ./deploy.sh v2
ends 0 v2 "already" ./deploy.sh v2
ends 1 v2 "reports v2" env SAYS=v2 ./deploy.sh v3
ends 1 v2 "v2 was never left\|green was never left" env START=false ./deploy.sh v3
ends 1 v2 "sluice.yaml" env CONFIG=none/sluice.yaml ./deploy.sh v3
ends 2 v2 "max-cut" env MAX_CUT=few ./deploy.sh v3
ends 1 v2 "smoke test of v3 failed" env PAGE=oops ./deploy.sh v3

curl -fs $FRONT/slow >run/slow.txt & slow=$!
inside /slow
ends 3 v4 "not known yet" env TIMEOUT=200ms ./deploy.sh v4
touch run/go; wait $slow; grep -q slow run/slow.txt
ends 0 v4 "v4 is live in blue already" ./deploy.sh v4
ends 1 v4 "v2 is still needed" ./stop-old.sh false
WINDOW=1s WAIT=10 ends 0 v4 "stopped green v2" ./stop-old.sh echo stopped

curl -fsN $FRONT/events >/dev/null & events=$!
inside /events
ends 1 v5 "v5 is live in green, but" ./deploy.sh v5
wait $events || true

cat >run/bin/ssh <<'SSH'
#!/usr/bin/env bash
bash -c "${!#}" || exit
if [ ! -f run/broke ]; then touch run/broke; exit 255; fi   # the first connection breaks at the end
SSH
chmod +x run/bin/ssh
PATH=$PWD/run/bin:$PATH HOST=deploy@example.com DIR=$PWD PAUSE=0 GITHUB_ACTOR="o'alice" GITHUB_SHA=9f3c2e1 ends 0 v6 "v6 is live in blue already" ./over-ssh.sh v6
sluice history web --json | jq -se 'flatten | map(.. | objects | select(.verb? == "flip")) | any(.by == "o'"'"'alice" and .commit == "9f3c2e1")' >/dev/null
wait $rolls_pid || { cat run/rolls.txt; exit 1; }
tail -n 3 run/rolls.txt
kill -INT $watch_pid $rolled_pid; wait $watch_pid; wait $rolled_pid
cat run/watch.txt run/rolled.txt
