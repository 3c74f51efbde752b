-- `synapse` owns every table and logs in nowhere. Synapse logs in as one of two members and is `synapse` from then
-- on; the two take turns, so that a rotation gives one a password while the other's still opens. They may connect
-- to their database, make temporary tables, and make and own tables in the schema public: they own neither database
-- nor schema, cannot drop them, nor grant anybody anything. Who sets the passwords is the Job `roles`.
-- Idempotent: it runs at every start.
SET client_min_messages = warning;
SELECT format('CREATE ROLE %I', wanted) FROM unnest(ARRAY['synapse', 'synapse_even', 'synapse_odd', 'role_keeper', 'exporter']) wanted
  WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) \gexec
ALTER ROLE synapse NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD NULL;
ALTER ROLE synapse_even LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
ALTER ROLE synapse_odd LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
GRANT synapse TO synapse_even, synapse_odd;
ALTER ROLE synapse_even SET role = 'synapse';
ALTER ROLE synapse_odd SET role = 'synapse';
-- To set a password takes CREATEROLE and, since PostgreSQL 16, the admin option on the role; it logs in by certificate.
ALTER ROLE role_keeper LOGIN NOSUPERUSER NOCREATEDB CREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD NULL;
GRANT synapse_even, synapse_odd TO role_keeper WITH ADMIN OPTION;
-- No statement of it is logged: there is a password in them.
ALTER ROLE role_keeper SET log_statement = 'none';
ALTER ROLE role_keeper SET log_min_error_statement = 'panic';
ALTER ROLE role_keeper SET log_min_duration_statement = -1;
-- Statistics of the server, and no table.
ALTER ROLE exporter LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT 3 PASSWORD NULL;
GRANT pg_monitor TO exporter;
SELECT 'CREATE DATABASE synapse TEMPLATE template0 ENCODING ''UTF8'' LOCALE ''C'''
  WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'synapse') \gexec
REVOKE ALL ON DATABASE synapse, postgres, template1 FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE synapse TO synapse;
GRANT CONNECT ON DATABASE synapse TO exporter;
GRANT CONNECT ON DATABASE postgres TO role_keeper;
\connect synapse
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO synapse;
