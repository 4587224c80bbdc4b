-- Calls take less of the database's time: fewer statements, and each function called by the way that
-- plpgsql has for expressions, which needs no plan of its own. What they decide is as before (0008, 0022).

-- In one statement for each number, where there were four.
CREATE OR REPLACE FUNCTION kamailio.find_target(
    called text, caller text, from_trunk boolean, diverted_by bigint, why text, past text,
    visited bigint[]
) RETURNS kamailio.route
LANGUAGE plpgsql
AS $$
DECLARE
    r kamailio.route := ROW(0, '', 'none', '', called, 0, 0, diverted_by, past, why, '{}');
    callee record;
BEGIN
    LOOP
        SELECT account.id, account.project_id, account.state, account.main_number,
               CASE WHEN transfer.unconditional_enabled THEN 'unconditional'
                    WHEN transfer.unreachable_enabled AND account.state = 'disabled'
                    THEN 'unreachable'
               END AS cause,
               CASE WHEN transfer.unconditional_enabled THEN transfer.unconditional_target
                    ELSE transfer.unreachable_target
               END AS target,
               -- As in the view call_transfer.
               CASE WHEN transfer.no_answer_enabled THEN 20 ELSE 0 END AS ring_seconds
          INTO callee
          FROM provisioner.numbers
          JOIN provisioner.sip_accounts AS account ON account.id = numbers.account_id
          LEFT JOIN provisioner.call_transfers AS transfer ON transfer.account_id = account.id
         WHERE numbers.number = r.number AND numbers.state = 'active';
        IF NOT FOUND THEN
            -- A carrier's call is for our numbers, not to be passed on to another carrier.
            IF (from_trunk AND r.diverting = 0)
               OR EXISTS (SELECT FROM provisioner.numbers WHERE number = r.number) THEN
                RETURN kamailio.route_refused(404, 'Not Found');
            END IF;
            IF r.diverting > 0 AND kamailio.outgoing_refusal(r.diverting, r.number) <> '' THEN
                RETURN kamailio.route_refused(480, 'Temporarily Unavailable');
            END IF;
            r.target := 'carrier';
            r.set_id := 1;
            RETURN r;
        END IF;
        IF callee.id = ANY (visited) OR cardinality(visited) >= 5 THEN
            RETURN kamailio.route_refused(482, 'Loop Detected');
        END IF;
        visited := visited || callee.id;
        r.legs := r.legs || ROW(callee.id, 'in', true, caller, r.number)::kamailio.leg;
        r.username := substr(callee.main_number, 2);
        EXIT WHEN callee.cause IS NULL;
        r.legs := r.legs || ROW(callee.id, 'out', false, r.number, callee.target)::kamailio.leg;
        r.history := concat_ws(',', nullif(r.history, ''), r.number);
        r.cause := callee.cause;
        r.diverting := callee.id;
        r.number := callee.target;
    END LOOP;
    IF callee.state = 'disabled' THEN
        RETURN kamailio.route_refused(480, 'Temporarily Unavailable');
    END IF;
    r.ring_seconds := callee.ring_seconds;
    IF callee.state = 'linked_to_teams' THEN
        r.target := 'teams';
        r.set_id := 1000 + callee.project_id;
    ELSE
        r.target := 'devices';
    END IF;
    RETURN r;
END
$$;

-- The locks and the node's lease in one statement, the counting in the next: what is counted after the
-- locks includes what their former holders wrote.
CREATE OR REPLACE FUNCTION kamailio.add_legs(
    the_call bigint, legs kamailio.leg[], limited boolean, rated_account bigint,
    the_node text, entry bigint, dialog bigint, the_call_id text, the_cseq bigint,
    OUT call bigint, OUT missing text, OUT missing_account bigint
)
LANGUAGE plpgsql
AS $$
DECLARE
    leased boolean;
    started integer;
BEGIN
    call := coalesce(nullif(the_call, 0), nextval('kamailio.call_ids'));
    -- In one order, so that two calls between the same accounts do not wait for each other.
    SELECT count(pg_advisory_xact_lock(hashtext('provisioner calls'), wanted.account_id::integer)) >= 0
           AND EXISTS (SELECT FROM kamailio.node_leases
                        WHERE node = the_node AND expires > now() + interval '3 s')
      INTO leased
      FROM (SELECT DISTINCT leg.account_id FROM unnest(legs) AS leg
             WHERE leg.counted ORDER BY 1) AS wanted;
    IF NOT leased THEN
        PERFORM kamailio.renew_lease(the_node);
    END IF;
    IF limited THEN
        SELECT account.id INTO missing_account
          FROM (SELECT leg.account_id, count(*) AS channels FROM unnest(legs) AS leg
                 WHERE leg.counted GROUP BY 1) AS wanted
          JOIN provisioner.sip_accounts AS account ON account.id = wanted.account_id
         WHERE wanted.channels + (SELECT count(*) FROM provisioner.live_calls AS live
                                   WHERE live.account_id = account.id AND live.counted)
               > account.voice_channels
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

CREATE OR REPLACE FUNCTION kamailio.decide(
    the_call bigint, caller_account bigint, presented text, asserted text,
    r kamailio.route, limited boolean,
    node text, entry bigint, dialog bigint, call_id text, cseq bigint
) RETURNS kamailio.decision
LANGUAGE plpgsql
AS $$
DECLARE
    d kamailio.decision;
    added record;
BEGIN
    d.call := the_call;
    d.status := r.status;
    d.reason := r.reason;
    d.target := 'none';
    IF r.status <> 0 THEN
        RETURN d;
    END IF;
    added := kamailio.add_legs(the_call, r.legs, limited, caller_account, node, entry, dialog, call_id,
                               cseq);
    IF added.missing = 'rate' THEN
        PERFORM kamailio.note_refusal(added.missing_account, 'call_rate', 'out', r.number);
        d.status := 403;
        d.reason := 'Call Rate Exceeded';
        RETURN d;
    ELSIF added.missing = 'out' THEN
        PERFORM kamailio.note_refusal(added.missing_account, 'channels', 'out', r.number);
        d.status := 403;
        d.reason := 'Channel Limit Reached';
        RETURN d;
    ELSIF added.missing = 'in' THEN
        PERFORM kamailio.note_refusal(added.missing_account, 'channels', 'in', r.number);
        d.status := 486;
        d.reason := 'Busy Here';
        RETURN d;
    END IF;
    IF r.diverting > 0 THEN
        asserted := (SELECT main_number FROM provisioner.sip_accounts WHERE id = r.diverting);
    END IF;
    RETURN ROW(added.call, 0, r.reason, r.target, r.username, r.number, r.set_id, r.ring_seconds,
               presented, asserted, r.history, r.cause)::kamailio.decision;
END
$$;

-- As before, for whom the node knows by what it remembers of him, or by what a replica says, too. `fence`
-- is then the account's fence as it stood before that was read (0: it had none); null where the primary
-- was asked just now. A change that took something away left work for the node in its own transaction, and
-- the node gets its fence, the generation and one, before that work is done with. So where there is work
-- that this fence is not from, what the node goes by may not be good any more: status 407, and the device
-- has to show its password once more. Calls for help pass.
CREATE FUNCTION kamailio.place_call(
    caller_account bigint, caller text, called text, dialled text, is_emergency boolean,
    node text, entry bigint, dialog bigint, call_id text, cseq bigint, fence bigint
) RETURNS kamailio.decision
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = kamailio, pg_temp
SET plan_cache_mode = force_generic_plan
-- As for channels_used (0022).
SET enable_bitmapscan = off
-- A call's one or two legs find their accounts by the index, however few accounts there are: to hash all
-- of them took longer than all the rest.
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    -- An assignment, because PERFORM would be a query.
    setting text := set_config('synchronous_commit', 'off', true);
    r kamailio.route;
    own record;
    refusal text := '';
BEGIN
    SELECT account.id, account.main_number, wanted.destination,
           coalesce((SELECT coalesce(rule.number, '')
                       FROM provisioner.caller_id_rules AS rule
                      WHERE rule.account_id = account.id
                        AND starts_with(wanted.destination, rule.destination_prefix)
                      ORDER BY length(rule.destination_prefix) DESC
                      LIMIT 1),
                    account.main_number) AS shown,
           fence IS NOT NULL
           AND EXISTS (SELECT FROM provisioner.pending_kicks AS kick
                         JOIN provisioner.nodes ON nodes.id = kick.node_id
                        WHERE kick.username = substr(account.main_number, 2)
                          AND kick.generation >= fence
                          AND coalesce(split_part(nodes.incarnation, '/', 1), nodes.name)
                              = split_part(place_call.node, '/', 1)) AS outdated
      INTO own
      FROM (SELECT CASE WHEN NOT is_emergency
                         AND EXISTS (SELECT FROM kamailio.did WHERE number = '+' || dialled)
                        THEN '+' || dialled ELSE called
                   END AS destination
            OFFSET 0) AS wanted
      LEFT JOIN provisioner.sip_accounts AS account ON account.id = caller_account;
    IF caller_account = 0 THEN
        r := kamailio.find_target(own.destination, caller, true, 0, '', '', '{}');
        RETURN kamailio.decide(0, 0, NULL, NULL, r, true, node, entry, dialog, call_id, cseq);
    END IF;
    IF own.id IS NULL THEN
        -- It proved itself a moment ago, and has been deleted since.
        RETURN kamailio.decide(0, 0, NULL, NULL, kamailio.route_refused(403, 'Account Disabled'), true,
                               node, entry, dialog, call_id, cseq);
    END IF;
    IF own.outdated AND NOT is_emergency THEN
        RETURN kamailio.decide(0, 0, NULL, NULL,
                               kamailio.route_refused(407, 'Proxy Authentication Required'), true,
                               node, entry, dialog, call_id, cseq);
    END IF;
    IF is_emergency THEN
        -- The rescuers see the main number, whatever else is presented elsewhere.
        r := kamailio.route_refused(0, '');
        r.target := 'carrier';
        r.number := own.destination;
        r.set_id := 1;
        r.legs := ARRAY[ROW(own.id, 'out', true, own.main_number, own.destination)::kamailio.leg];
        RETURN kamailio.decide(0, own.id, own.main_number, own.main_number, r, false, node, entry,
                               dialog, call_id, cseq);
    END IF;
    r := kamailio.find_target(own.destination, coalesce(nullif(own.shown, ''), 'anonymous'), false, 0,
                              '', '', '{}');
    IF r.status = 0 AND r.target = 'carrier' AND r.diverting = 0 THEN
        refusal := kamailio.outgoing_refusal(own.id, own.destination);
        IF refusal <> '' THEN
            r := kamailio.route_refused(403, refusal);
        END IF;
    END IF;
    r.legs := ROW(own.id, 'out', true, coalesce(nullif(own.shown, ''), own.main_number),
                  own.destination)::kamailio.leg || r.legs;
    RETURN kamailio.decide(0, own.id, own.shown, own.main_number, r, true, node, entry, dialog, call_id,
                           cseq);
END
$$;

CREATE OR REPLACE FUNCTION kamailio.place_call(
    caller_account bigint, caller text, called text, dialled text, is_emergency boolean,
    node text, entry bigint, dialog bigint, call_id text, cseq bigint
) RETURNS kamailio.decision
LANGUAGE sql SECURITY DEFINER
SET search_path = kamailio, pg_temp
AS $$
SELECT kamailio.place_call(caller_account, caller, called, dialled, is_emergency, node, entry, dialog,
                           call_id, cseq, NULL)
$$;

DROP FUNCTION kamailio.presented_number;

ALTER FUNCTION kamailio.transfer_call(bigint, text) SET enable_bitmapscan = off;
ALTER FUNCTION kamailio.transfer_call(bigint, text) SET enable_hashjoin = off;
ALTER FUNCTION kamailio.transfer_call(bigint, text) SET enable_mergejoin = off;

-- Calls that were answered a moment ago: those of a node, at once.
CREATE FUNCTION kamailio.answer_calls(the_calls bigint[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = kamailio, pg_temp
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    setting text := set_config('synchronous_commit', 'off', true);
BEGIN
    UPDATE kamailio.calls SET answered_at = greatest(started_at, now())
     WHERE call = ANY (the_calls) AND answered_at IS NULL;
    RETURN 1;
END
$$;

-- Turns the legs of a call into call records, and returns how many they were. What costs nothing need not
-- be costed: incoming legs, those that nobody answered, emergency calls. `answered_ago`: seconds since it
-- was answered, by the clock of who says so; null: he does not know, or nobody has answered.
CREATE FUNCTION kamailio.close_call(
    the_call bigint, ended timestamptz, final_status integer, lost boolean, answered_ago numeric
) RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
    answered timestamptz := ended - make_interval(secs => answered_ago::double precision);
    legs integer;
BEGIN
    WITH gone AS (DELETE FROM kamailio.calls WHERE call = the_call RETURNING *),
         told AS (
        SELECT gone.*,
               CASE WHEN answered_at IS NOT NULL OR answered IS NOT NULL
                    THEN greatest(started_at, least(answered_at, answered))
               END AS taken_at
          FROM gone),
         timed AS (
        SELECT told.*, greatest(ended, taken_at, started_at) AS ended_at,
               direction = 'in' OR taken_at IS NULL OR emergency AS free
          FROM told)
    INSERT INTO provisioner.call_records
           (id, call, account_id, account_number, customer_id, customer_name, project_id,
            project_name, tariff, direction, transferred, emergency, caller, called, node,
            started_at, answered_at, ended_at, duration, status, node_lost, cost_operator,
            cost_customer, rated_at)
    SELECT timed.id, call, account_id, account_number, timed.customer_id,
           coalesce(customer.name, ''), project_id, coalesce(project.name, ''), tariff, direction,
           NOT counted, emergency, caller, called, split_part(node, '/', 1), started_at, taken_at,
           ended_at,
           coalesce(extract(epoch FROM date_trunc('second', ended_at)
                                       - date_trunc('second', taken_at)), 0)::integer,
           CASE WHEN taken_at IS NULL THEN final_status ELSE 200 END, lost,
           CASE WHEN free THEN 0 END, CASE WHEN free THEN 0 END, CASE WHEN free THEN now() END
      FROM timed
      LEFT JOIN provisioner.customers AS customer ON customer.id = timed.customer_id
      LEFT JOIN provisioner.projects AS project ON project.id = project_id;
    GET DIAGNOSTICS legs = ROW_COUNT;
    RETURN legs;
END
$$;

CREATE OR REPLACE FUNCTION kamailio.record_call(
    the_call bigint, ended timestamptz, final_status integer, lost boolean
) RETURNS void
LANGUAGE sql
AS $$ SELECT kamailio.close_call(the_call, ended, final_status, lost, NULL) $$;

-- As before, and when the call was answered, for whoever has not been told yet.
CREATE FUNCTION kamailio.end_call(the_call bigint, final_status integer, answered_ago numeric)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = kamailio, pg_temp
SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    IF kamailio.close_call(the_call, clock_timestamp(), final_status, false, answered_ago) > 0 THEN
        RETURN 1;
    END IF;
    UPDATE provisioner.call_records
       SET ended_at = now(), node_lost = false, missed_rates = 0,
           duration = coalesce(extract(epoch FROM date_trunc('second', now())
                                                  - date_trunc('second', answered_at)), 0),
           rated_at = CASE WHEN direction = 'in' OR answered_at IS NULL OR emergency THEN rated_at END
     WHERE call = the_call AND node_lost;
    RETURN 1;
END
$$;

CREATE OR REPLACE FUNCTION kamailio.end_call(the_call bigint, final_status integer) RETURNS integer
LANGUAGE sql SECURITY DEFINER
SET search_path = kamailio, pg_temp
AS $$ SELECT kamailio.end_call(the_call, final_status, NULL) $$;

REVOKE ALL ON FUNCTION
    kamailio.place_call(
        bigint, text, text, text, boolean, text, bigint, bigint, text, bigint, bigint),
    kamailio.answer_calls, kamailio.close_call, kamailio.end_call(bigint, integer, numeric)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    kamailio.place_call(
        bigint, text, text, text, boolean, text, bigint, bigint, text, bigint, bigint),
    kamailio.answer_calls, kamailio.end_call(bigint, integer, numeric)
    TO kamailio;
