-- The cluster's roles, applied before every migration run; repeating it changes nothing.
-- Both roles own nothing: tables belong to whoever migrates, so neither role can drop or alter one.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'provisioner') THEN
        CREATE ROLE provisioner LOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'kamailio') THEN
        CREATE ROLE kamailio LOGIN;
    END IF;
    EXECUTE format('REVOKE CREATE, TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO provisioner, kamailio', current_database());
    -- All of the service's queries are short. Compiling one takes longer than any of them, and where
    -- a table has not been analysed yet PostgreSQL would do so each time.
    EXECUTE format('ALTER ROLE provisioner IN DATABASE %I SET jit = off', current_database());
    EXECUTE format('ALTER ROLE kamailio IN DATABASE %I SET jit = off', current_database());
    -- Its functions keep their plans for as long as a connection lives: one made while there were no
    -- calls must not read all of them later.
    EXECUTE format('ALTER ROLE kamailio IN DATABASE %I SET enable_seqscan = off', current_database());
    -- Kamailio's modules name their tables without a schema.
    EXECUTE format('ALTER ROLE kamailio IN DATABASE %I SET search_path = kamailio', current_database());
END
$$;
