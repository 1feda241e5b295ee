#!/bin/sh
# Written by `cargo monolift deploy compose` from app-split/deployment.toml. Change that file, and run the command again.
#
# Runs once, in a new volume: a schema and a role for each module, as `cargo monolift db init` makes them.
set -eu

module() {
    psql --quiet --set ON_ERROR_STOP=1 --username postgres --dbname "$POSTGRES_DB" \
        --set role="$1" --set schema="$2" --set database="$POSTGRES_DB" --set password="$POSTGRES_PASSWORD" <<'SQL'
CREATE ROLE :"role" LOGIN PASSWORD :'password' NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION;
GRANT CONNECT ON DATABASE :"database" TO :"role";
CREATE SCHEMA :"schema" AUTHORIZATION :"role";
REVOKE ALL ON SCHEMA :"schema" FROM PUBLIC;
ALTER ROLE :"role" IN DATABASE :"database" SET search_path = :"schema";
SQL
}

module shop_payments payments
module shop_stock stock
module shop_users users
module shop_orders orders
module shop_notifications notifications
module shop_reports reports
