-- What makes changes and calls fast at any number of accounts.

-- Who is woken learns which work it is for, so that nobody else need look for his own.
CREATE OR REPLACE FUNCTION provisioner.wake_worker() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('provisioner_work', TG_TABLE_NAME);
    RETURN NULL;
END
$$;
