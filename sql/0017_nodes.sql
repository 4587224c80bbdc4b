-- Several nodes share one table of bindings, and each knows in memory those of the others, too. The node
-- where a device has registered writes its row: what others would write lacks the listener and the
-- connection by which the device is reached, and two nodes would insert one row. What comes without a
-- listener is another node's, and not written.

CREATE FUNCTION kamailio.leave_to_its_node() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS 'BEGIN RETURN NULL; END';

CREATE TRIGGER leave_to_its_node BEFORE INSERT OR UPDATE ON kamailio.location
   FOR EACH ROW WHEN (NEW.socket IS NULL)
EXECUTE FUNCTION kamailio.leave_to_its_node();

-- A device that registers with another node than before keeps its ruid, which names the former node. Its
-- new node does not know whether that has written a row.
CREATE FUNCTION kamailio.take_over() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM kamailio.location WHERE ruid = NEW.ruid;
    RETURN NEW;
END
$$;

CREATE TRIGGER take_over BEFORE INSERT ON kamailio.location
   FOR EACH ROW WHEN (NEW.socket IS NOT NULL
                      AND NOT starts_with(NEW.ruid, 'uloc-' || to_hex(NEW.server_id) || '-'))
EXECUTE FUNCTION kamailio.take_over();

REVOKE ALL ON FUNCTION kamailio.leave_to_its_node(), kamailio.take_over() FROM PUBLIC;
