#!/bin/sh
# Koyeb (https://www.koyeb.com/docs/build-and-deploy/cli/reference), with its CLI and a database at hand. The local disk of an
# instance does not outlive it: use PostgreSQL, and Redis as soon as there are two instances.
set -eu
: "${DATABASE_URL:?postgres://USER:PASSWORD@HOST/NAME}" "${PUBLIC_URL:?https://shop.example.com}" "${REPOSITORY:?github.com/OWNER/NAME}"

koyeb secret create baluarte-secret-key --value "$(baluarte secret generate)"
koyeb secret create baluarte-password-salt --value "$(baluarte secret generate)"
koyeb secret create baluarte-database --value "$DATABASE_URL"
koyeb app init baluarte \
  --git "$REPOSITORY" --git-branch main \
  --git-builder docker --git-docker-dockerfile deploy/Dockerfile \
  --ports 8080:http --routes /:8080 --checks 8080:http:/readyz \
  --env PORT=8080 --env APP_ENV=production --env PUBLIC_URL="$PUBLIC_URL" \
  --env SECRET_KEY=@baluarte-secret-key \
  --env SECURITY_PASSWORD_SALT=@baluarte-password-salt \
  --env DATABASE_URL=@baluarte-database \
  --env 'BALUARTE__GATEWAY__UPSTREAMS={ app = { servers = ["https://app.example.com"] } }' \
  --env 'BALUARTE__GATEWAY__ROUTES=[{ path = "/", upstream = "app" }]'
