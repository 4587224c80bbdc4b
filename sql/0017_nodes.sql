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

REVOKE ALL ON FUNCTION kamailio.leave_to_its_node() FROM PUBLIC;
