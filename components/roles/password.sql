-- The password never stands in a list of processes, nor in the server's log: roles.sql has that off for this role.
\set password `cat /secrets/database/password`
ALTER ROLE :"role" PASSWORD :'password';
