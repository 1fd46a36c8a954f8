#!/bin/sh
# What docker-compose.secure.yml needs, made once: deploy/compose/secrets.sh HOST, with the name or address by which parties reach this machine.
# ./certificates: an authority of your own, and two leaves of common name `admin`, the broker's and the administrator's.
# ./secrets: logins of the services, empty until `principal secret` fills them. ./.env: what Docker Compose reads by itself.
set -euC
umask 077
host=${1:?usage: deploy/compose/secrets.sh HOST}
mkdir certificates secrets
printf 'COMPOSE_FILE=docker-compose.yml:docker-compose.secure.yml\nWEAKLINK_HOST=%s\nWEAKLINK_LEDGER_PASSWORD=%s\nWEAKLINK_ACCOUNTS_SECRET=%s\n' "$host" "$(openssl rand -hex 24)" "$(openssl rand -hex 32)" > .env
for service in ingest correlate campaigns enforce exporter console; do
    : > "secrets/$service.env"
done
cd certificates
key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
openssl req -x509 $key -days 3650 -subj "/CN=weaklink authority" -keyout authority.key -out authority.pem
case $host in *[!0-9.]*) kind=DNS ;; *) kind=IP ;; esac
printf 'subjectAltName=DNS:kafka,%s:%s\nextendedKeyUsage=serverAuth,clientAuth\n' "$kind" "$host" > node.extensions
printf 'extendedKeyUsage=clientAuth\n' > admin.extensions
for leaf in node admin; do
    openssl req $key -subj "/CN=admin" -keyout "$leaf.key" -out "$leaf.csr"
    openssl x509 -req -days 3650 -in "$leaf.csr" -CA authority.pem -CAkey authority.key -CAcreateserial -extfile "$leaf.extensions" -out "$leaf.crt"
    cat "$leaf.key" "$leaf.crt" authority.pem > "$leaf.pem"
    rm "$leaf.key" "$leaf.csr" "$leaf.crt" "$leaf.extensions"
done
chmod 0644 authority.pem
