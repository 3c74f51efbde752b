-- Synapse's role may connect to its database, make temporary tables, and make and own tables in the schema
-- public. It owns neither database nor schema: it cannot drop them, nor grant anybody anything.
-- Idempotent: it runs at every start. The password never stands in a log or in a list of processes.
SET log_min_duration_statement = -1;
SET log_min_error_statement = panic;
SET log_statement = 'none';
\set password `cat /secrets/database/password`
SELECT 'CREATE ROLE synapse' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'synapse') \gexec
ALTER ROLE synapse LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'password';
SELECT 'CREATE DATABASE synapse TEMPLATE template0 ENCODING ''UTF8'' LOCALE ''C'''
  WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'synapse') \gexec
REVOKE ALL ON DATABASE synapse, postgres, template1 FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE synapse TO synapse;
\connect synapse
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO synapse;
