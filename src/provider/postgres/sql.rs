//! The statements. Each observation is one row of JSON, so that it costs one round trip and no type is
//! guessed.
//!
//! Traps held here: `pg_current_wal_*` errors on a standby and the receiver's view is empty on a primary; the
//! checkpoint's timeline is the old one until the next checkpoint, the WAL file's name is right at once;
//! columns of others are NULL without `pg_monitor`, which is "not permitted" and not "none". The end of the
//! log is what is flushed: with checksums even reading a page inserts a record (hint bits) that nobody
//! flushes or sends for a while, and an idle pair would look behind. What a commit acknowledged is flushed,
//! unless `synchronous_commit` is off.

/// Everything about a node.
pub const NODE: &str = r#"
select json_build_object(
 'in_recovery', r,
 'system', (select system_identifier::text from pg_control_system()),
 'version', current_setting('server_version_num')::int,
 'timeline', case when r then greatest(
     (select received_tli from pg_stat_wal_receiver),
     (select min_recovery_end_timeline from pg_control_recovery()),
     (select timeline_id from pg_control_checkpoint()))
   else ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int end,
 'position', case when r then greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
   else pg_current_wal_flush_lsn() end::text,
 'received', pg_last_wal_receive_lsn()::text,
 'replayed', pg_last_wal_replay_lsn()::text,
 'receiver', (select json_build_object('status', status, 'timeline', received_tli, 'host', sender_host,
     'port', sender_port, 'message_age_us', greatest(0, (extract(epoch from
       clock_timestamp() - last_msg_receipt_time) * 1000000)::bigint))
   from pg_stat_wal_receiver where pid is not null),
 'paused', case when r then pg_is_wal_replay_paused() end,
 'read_only', current_setting('default_transaction_read_only')::bool,
 'sync_names', current_setting('synchronous_standby_names'),
 'standbys', (select coalesce(json_agg(json_build_object('name', application_name, 'state', state)), '[]')
   from pg_stat_replication),
 'clients', case when hidden = 0 then clients end,
 'writers', case when hidden = 0 then writers end,
 'sync_waiters', case when hidden = 0 then sync_waiters end,
 'workers', coalesce(workers, '[]'),
 'superuser', current_setting('is_superuser')::bool,
 'can_promote', has_function_privilege('pg_promote(boolean,integer)', 'execute'),
 'superusers', (select coalesce(json_agg(rolname order by rolname), '[]') from pg_roles
   where rolsuper and rolcanlogin),
 'manager', coalesce(manager, (select 'Patroni' from pg_settings where sourcefile ~* 'patroni' limit 1),
   (select 'Patroni (by how it was started)' from pg_settings where source = 'command line' and name in
     ('cluster_name', 'hot_standby', 'wal_log_hints', 'track_commit_timestamp', 'max_locks_per_transaction')
     having count(*) = 5))
)::text
from (select pg_is_in_recovery() as r) a, (select
   count(*) filter (where backend_type is null and others) as hidden,
   count(*) filter (where others and (backend_type = 'client backend'
     or (backend_type = 'walsender' and datid is not null))) as clients,
   count(*) filter (where others and backend_type = 'client backend' and backend_xid is not null) as writers,
   count(*) filter (where wait_event = 'SyncRep') as sync_waiters,
   json_agg(distinct backend_type) filter (where backend_type ~
     '(logical replication .*worker|pg_cron|pg_background|pglogical|bdr)') as workers,
   min(application_name) filter (where application_name ~*
     '^(patroni|repmgrd|pg_autoctl|pg_auto_failover|stolon)') as manager
  from (select *, usename is distinct from current_user as others from pg_stat_activity) s) b"#;

/// What only a superuser may read. A statement of its own: the right to a function is checked before any
/// `case`.
pub const NODE_FILES: &str = r#"
select json_build_object(
 'history', case when file <> '00000001' then pg_read_file('pg_wal/' || file || '.history', 0, 65536, true)
   end,
 'hba_fenced', position('# pointsman-fence'::bytea in
   coalesce(pg_read_binary_file(current_setting('hba_file'), 0, 64, true), '')) = 1
)::text
from (select case when not pg_is_in_recovery()
  then substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) end as file) a"#;

/// The little that sampling and polling need.
pub const PROGRESS: &str = r#"
select json_build_object(
 'in_recovery', r,
 'system', (select system_identifier::text from pg_control_system()),
 'timeline', case when r then greatest(
     (select received_tli from pg_stat_wal_receiver),
     (select min_recovery_end_timeline from pg_control_recovery()),
     (select timeline_id from pg_control_checkpoint()))
   else ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int end,
 'position', case when r then greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
   else pg_current_wal_flush_lsn() end::text,
 'replayed', pg_last_wal_replay_lsn()::text,
 'clock', (extract(epoch from clock_timestamp()) * 1000000)::bigint
)::text from (select pg_is_in_recovery() as r) a"#;

pub const HBA: &str = r#"
select json_build_object('path', current_setting('hba_file'), 'text',
  pg_read_file(current_setting('hba_file')),
 'broken', (select count(*) from pg_hba_file_rules where error is not null),
 'rules', (select coalesce(json_agg(json_build_object('type', type, 'database', database,
   'user_name', user_name, 'address', address, 'netmask', netmask, 'auth_method', auth_method,
   'options', options) order by line_number), '[]') from pg_hba_file_rules where error is null))::text"#;

/// Ends the sessions of others. Physical walsenders stay; a logical one can run SQL, so it goes.
pub const TERMINATE: &str = "select count(*) filter (where pg_terminate_backend(pid))::text from \
pg_stat_activity where usename is distinct from current_user and (backend_type = 'client backend' or \
(backend_type = 'walsender' and datid is not null))";

/// A committed message flushes all that was inserted before it, acknowledged or not. `local`: it must not
/// wait for a synchronous standby.
pub const FLUSH: &str =
    "set synchronous_commit = local; select pg_logical_emit_message(true, 'pointsman', 'fence')";

pub const RELOAD: &str = "select pg_reload_conf()";
pub const SET_READ_ONLY: &str = "alter system set default_transaction_read_only = on";
pub const RESET_READ_ONLY: &str = "alter system reset default_transaction_read_only";
pub const CLEAR_SYNC: [&str; 2] = ["alter system set synchronous_standby_names = ''", RELOAD];
pub const PROMOTE: &str = "select pg_promote(false)";

/// Created by the application's role, in its own schema.
pub const MARKER_EXISTS: &str = "select to_regclass('pointsman_marker') is not null";
pub const MARKER_TABLE: &str = "create table pointsman_marker (run text primary key, epoch bigint not null, \
     at timestamptz not null default clock_timestamp())";

pub fn marker_select(run: &str) -> String {
    format!("select epoch::text from pointsman_marker where run = {}", literal(run))
}
pub fn marker_insert(run: &str, epoch: u64) -> String {
    format!(
        "insert into pointsman_marker (run, epoch) values ({}, {epoch}) on conflict (run) do nothing",
        literal(run)
    )
}

/// A claim is a row like a run's, under its own words. The newest first.
pub const CLAIMS: &str = "select json_agg(run)::text from (select run from pointsman_marker \
where run like 'pointsman=1 owner=%' order by at desc limit 50) c";

/// Writes lines to a file of the server, byte for byte: CSV with a quote and a delimiter that no text holds,
/// and empty lines as NULL. Truncates and writes, so mode and owner stay.
pub fn copy_to_file(text: &str, path: &str) -> String {
    let lines: Vec<String> = text.lines().map(literal).collect();
    format!(
        "copy (select nullif(line, '') from unnest(array[{}]::text[]) with ordinality as t(line, n) order \
        by n) to {} with (format csv, quote E'\\x01', delimiter E'\\x02')",
        lines.join(","),
        literal(path)
    )
}

/// A string literal that means the same whatever `standard_conforming_strings` is.
pub fn literal(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('\'', "''");
    format!("E'{escaped}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_cannot_be_left() {
        assert_eq!(literal(r"a'b\"), r"E'a''b\\'");
        assert!(copy_to_file("x\n\ny", "/p").contains("array[E'x',E'',E'y']"));
    }
}
