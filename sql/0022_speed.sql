-- What makes changes and calls fast at any number of accounts.

-- Who is woken learns which work it is for, so that nobody else need look for his own.
CREATE OR REPLACE FUNCTION provisioner.wake_worker() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('provisioner_work', TG_TABLE_NAME);
    RETURN NULL;
END
$$;

-- As before (0008), with fewer statements: all locks are taken by one, in one order, and what is
-- counted after it includes what their former holders wrote.
CREATE OR REPLACE FUNCTION kamailio.add_legs(
    the_call bigint, legs kamailio.leg[], limited boolean, rated_account bigint,
    the_node text, entry bigint, dialog bigint, the_call_id text, the_cseq bigint,
    OUT call bigint, OUT missing text, OUT missing_account bigint
)
LANGUAGE plpgsql
AS $$
DECLARE
    started integer;
BEGIN
    call := coalesce(nullif(the_call, 0), nextval('kamailio.call_ids'));
    IF NOT EXISTS (SELECT FROM kamailio.node_leases
                    WHERE node = the_node AND expires > now() + interval '3 s') THEN
        PERFORM kamailio.renew_lease(the_node);
    END IF;
    -- In one order, so that two calls between the same accounts do not wait for each other.
    PERFORM pg_advisory_xact_lock(hashtext('provisioner calls'), wanted.account_id::integer)
       FROM (SELECT DISTINCT leg.account_id FROM unnest(legs) AS leg
              WHERE leg.counted ORDER BY 1) AS wanted;
    IF limited THEN
        SELECT account.id INTO missing_account
          FROM (SELECT leg.account_id, count(*) AS channels FROM unnest(legs) AS leg
                 WHERE leg.counted GROUP BY 1) AS wanted
          JOIN provisioner.sip_accounts AS account ON account.id = wanted.account_id
         WHERE kamailio.channels_used(account.id) + wanted.channels > account.voice_channels
         ORDER BY 1
         LIMIT 1;
        IF FOUND THEN
            missing := CASE WHEN missing_account = rated_account THEN 'out' ELSE 'in' END;
            RETURN;
        END IF;
    END IF;
    IF limited AND rated_account > 0 THEN
        INSERT INTO kamailio.call_rates AS rate (account_id, second, calls)
        VALUES (rated_account, extract(epoch FROM clock_timestamp())::bigint, 1)
        ON CONFLICT (account_id) DO UPDATE
           SET calls = CASE rate.second WHEN excluded.second THEN rate.calls + 1 ELSE 1 END,
               second = excluded.second
        RETURNING calls INTO started;
        -- Every project may have one call a second.
        IF started > 1 AND started > (SELECT calls_per_second FROM provisioner.projects
                                       WHERE id = (SELECT project_id FROM provisioner.sip_accounts
                                                    WHERE id = rated_account)) THEN
            missing := 'rate';
            missing_account := rated_account;
            RETURN;
        END IF;
    END IF;
    INSERT INTO kamailio.calls
           (call, account_id, account_number, customer_id, project_id, tariff, direction, counted,
            emergency, caller, called, node, dialog_entry, dialog_id, sip_call_id, sip_cseq)
    SELECT add_legs.call, account.id, account.main_number, account.customer_id, account.project_id,
           account.tariff, leg.direction, leg.counted, NOT limited, leg.caller, leg.called, the_node,
           entry, dialog, the_call_id, the_cseq
      FROM unnest(legs) WITH ORDINALITY AS leg
      JOIN provisioner.sip_accounts AS account ON account.id = leg.account_id
     ORDER BY leg.ordinality;
END
$$;

-- A leg lives for as long as its call, so the index is full of those that are over. A plain index scan
-- marks their entries and passes over them from then on; a bitmap scan would visit them each time.
ALTER FUNCTION kamailio.channels_used(bigint) SET enable_bitmapscan = off;

-- Room for the answer's time beside the row: no index has to be told of it.
ALTER TABLE kamailio.calls SET (fillfactor = 60);

-- Of no use: the legs of one node are nearly all, and are looked for seldom.
DROP INDEX IF EXISTS kamailio.calls_node_idx;

-- Plans are kept. By itself the server would plan some statements anew for each call, because it
-- takes a call's two legs for cheaper than the ten that it expects in general.
ALTER FUNCTION kamailio.place_call(
    bigint, text, text, text, boolean, text, bigint, bigint, text, bigint)
    SET plan_cache_mode = force_generic_plan;
ALTER FUNCTION kamailio.transfer_call(bigint, text) SET plan_cache_mode = force_generic_plan;
ALTER FUNCTION kamailio.answer_call(bigint, integer) SET plan_cache_mode = force_generic_plan;
ALTER FUNCTION kamailio.end_call(bigint, integer) SET plan_cache_mode = force_generic_plan;

-- An account changes in columns that no index has. With room beside its row none is told of it.
ALTER TABLE provisioner.sip_accounts SET (fillfactor = 85);
ALTER TABLE kamailio.subscriber SET (fillfactor = 85);
