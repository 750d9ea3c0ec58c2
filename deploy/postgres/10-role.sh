#!/bin/sh
# The first start's set-up: the product's role is no superuser, so extensions are made here.
set -eu
psql --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname template1 <<'SQL'
\set password `cat /run/secrets/postgres_role`
CREATE ROLE syncproject LOGIN CREATEDB PASSWORD :'password';
CREATE ROLE monitor NOLOGIN;
GRANT monitor TO syncproject;
CREATE EXTENSION IF NOT EXISTS vector;
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE DATABASE syncproject OWNER syncproject TEMPLATE template1;
SQL
