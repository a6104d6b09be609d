#!/usr/bin/env bash
# scale.sh N: has N containers of the live release. New ones get traffic when they are well; those that go are drained first.
set -euo pipefail
cd "$(dirname "$0")"
want=$1
sluice() { docker compose exec -T sluice /sluice "$@"; }
live=$(sluice status web --json | jq -r '.services[0].live')
touch .env; sed -i "/^${live^^}_SCALE=/d" .env; echo "${live^^}_SCALE=$want" >>.env

mapfile -t ids < <(docker compose ps -q "$live")
for id in "${ids[@]:$want}"; do
  ip=$(docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$id")
  sluice drain web "$ip:3000" --wait
  docker stop "$id" && docker rm "$id"
done
docker compose up -d --no-deps --no-recreate "$live"
