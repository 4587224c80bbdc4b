-- A new account with all that belongs to it, in one call instead of seven statements.

-- Creates a disabled account on a choosable number, and tells the audit trail. It goes to the wanted
-- project, or to the first one within the scope (null: no bounds). Without hashes it has no password.
-- What stands in the way is raised by the name of a constraint that no table has: `new_account_…`.
CREATE FUNCTION provisioner.create_account(
    scope_customer bigint, scope_project bigint, wanted_project bigint,
    new_external_id text, new_name text, new_number text, new_channels integer, new_tariff text,
    new_cloudfire_only boolean, new_networks cidr[],
    new_realm text, new_ha1 text, new_ha1_sha256 text,
    by_via text, by_id bigint, by_name text, by_source inet, by_request text
)
RETURNS SETOF provisioner.account_status
LANGUAGE plpgsql
-- Its plans are kept: each of its statements finds one row by a key.
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    project  bigint;
    customer bigint;
    account  provisioner.sip_accounts;
BEGIN
    IF coalesce(wanted_project, scope_project) IS NOT NULL THEN
        SELECT id, customer_id INTO project, customer FROM provisioner.projects
         WHERE id = coalesce(wanted_project, scope_project)
           AND (scope_project IS NULL OR id = scope_project)
           AND (scope_customer IS NULL OR customer_id = scope_customer);
    ELSIF scope_customer IS NOT NULL THEN
        SELECT id, customer_id INTO project, customer FROM provisioner.projects
         WHERE customer_id = scope_customer ORDER BY id LIMIT 1;
    ELSE
        SELECT id, customer_id INTO project, customer FROM provisioner.projects
         ORDER BY id LIMIT 1;
    END IF;
    IF NOT FOUND THEN
        RAISE integrity_constraint_violation USING CONSTRAINT = 'new_account_project';
    END IF;

    INSERT INTO provisioner.sip_accounts
           (customer_id, project_id, external_id, name, main_number, voice_channels, tariff,
            cloudfire_only, allowed_networks)
    SELECT customer, project, new_external_id, new_name, number, new_channels, new_tariff,
           new_cloudfire_only, new_networks
      FROM provisioner.numbers
     WHERE project_id = project AND number = new_number
    RETURNING * INTO account;
    -- That a number is taken is told to those only whose project it belongs to.
    IF NOT FOUND THEN
        RAISE integrity_constraint_violation USING CONSTRAINT = 'new_account_number_unknown';
    END IF;
    UPDATE provisioner.numbers
       SET account_id = account.id,
           generation = nextval('provisioner.generation'), changed_at = now()
     WHERE project_id = project AND number = new_number
       AND state = 'active' AND account_id IS NULL;
    IF NOT FOUND THEN
        RAISE integrity_constraint_violation USING CONSTRAINT = coalesce((
            SELECT CASE WHEN account_id IS NULL THEN 'new_account_number_not_active'
                        ELSE 'new_account_number_taken' END
              FROM provisioner.numbers WHERE number = new_number), 'new_account_number_unknown');
    END IF;

    INSERT INTO provisioner.account_tariffs (account_id, tariff, via, actor_name)
    VALUES (account.id, new_tariff, by_via, by_name);
    IF new_ha1 IS NOT NULL THEN
        INSERT INTO provisioner.credentials (account_id, username, realm, ha1, ha1_sha256)
        VALUES (account.id, substr(new_number, 2), new_realm, new_ha1, new_ha1_sha256);
        INSERT INTO kamailio.subscriber
               (account_id, username, domain, password, ha1b, ha1, ha1_sha256,
                registration_allowed, channels, source_group, allowed_networks)
        SELECT desired.account_id, desired.username, desired.domain, desired.password, desired.ha1b,
               desired.ha1, desired.ha1_sha256, desired.registration_allowed, desired.channels,
               desired.source_group, desired.allowed_networks
          FROM provisioner.desired_subscriber AS desired
         WHERE desired.account_id = account.id
            ON CONFLICT (username, domain) DO NOTHING;
        IF NOT FOUND THEN
            RAISE integrity_constraint_violation USING CONSTRAINT = 'new_account_username_taken';
        END IF;
    END IF;

    INSERT INTO provisioner.audit_events
           (via, actor_id, actor_name, source, request_id, type, subject, subject_id, customer_id,
            project_id, version, after)
    VALUES (by_via, by_id, by_name, by_source, by_request, 'account.created', 'account', account.id,
            account.customer_id, account.project_id, account.generation,
            jsonb_build_object(
                'id', account.id, 'external_id', account.external_id,
                'customer_id', account.customer_id, 'project_id', account.project_id,
                'name', account.name, 'main_number', account.main_number,
                'voice_channels', account.voice_channels, 'tariff', account.tariff,
                'cloudfire_only', account.cloudfire_only,
                'allowed_networks', nullif(account.allowed_networks, '{}')::text[],
                'state', account.state));
    RETURN QUERY SELECT * FROM provisioner.account_status AS status WHERE status.id = account.id;
END
$$;
REVOKE ALL ON FUNCTION provisioner.create_account(
    bigint, bigint, bigint, text, text, text, integer, text, boolean, cidr[], text, text, text,
    text, bigint, text, inet, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION provisioner.create_account(
    bigint, bigint, bigint, text, text, text, integer, text, boolean, cidr[], text, text, text,
    text, bigint, text, inet, text) TO provisioner;
