//! The grammar of the command line, grouped by the moment of use. Verbs keep their own arguments in their
//! files.

use super::{Exit, Fault, local, verb};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use std::process::ExitCode;

const GROUPS: &str = "\
Right now            status  plan  run  watch  approve  reject  pass  confirm  retry  skip  abort  close
                     close-watch  freeze  thaw  override  ack  breaker
Before the outage    check  test  match  ready
Afterwards           audit  why  report  resume
Setting up           init  serve  playbook  token  notify  db  schema  explain  version";

const CODES: &str = "\
Exit codes
  0    done, and observed to be so
  1    internal, or could not talk; no run was started
  2    usage
  3    playbook or configuration invalid
  4    not signed in or not allowed
  5    no such thing
  6    conflict: plan stale or used, lock held, already decided
  7    refused by a guard
  8    waiting for approval
  9    my wait is over and the run goes on
  10   failed, nothing was changed
  11   partly changed or stopped: a person is needed
  12   failed, changes undone and verified
  13   an effect is not known
  14   cancelled, nothing was changed
  20   the plan has changes (--detailed-exitcode)
  21   a playbook is not ready
  22   the journal does not verify
  130  you left and the run continues
A code that you do not know is a failure.

POINTSMAN_TOKEN holds the token; it is never an argument.";

/// Failover responder: an alert says a site is lost; it verifies, plans, asks, acts, proves, and keeps the
/// record.
#[derive(Debug, Parser)]
#[command(name = "pointsman", version, before_help = GROUPS, after_help = CODES)]
#[command(subcommand_required = true, arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Address of the server: a URL, or unix:DIR/pointsman.sock on its machine
    #[arg(
        long,
        global = true,
        env = "POINTSMAN_SERVER",
        default_value = "http://127.0.0.1:8420",
        value_name = "URL"
    )]
    pub server: String,
    /// On the socket of the machine itself (--server unix:DIR/pointsman.sock): who you are, a person of the configuration
    #[arg(long = "as", global = true, env = "POINTSMAN_AS", value_name = "NAME")]
    pub person: Option<String>,
    /// How to print data; a table when on a terminal, tab-separated when piped
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT")]
    pub output: Option<Output>,
    #[arg(long, global = true, value_enum, default_value_t = When::Auto, value_name = "WHEN")]
    pub color: When,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Aligned columns
    Table,
    /// One document with its `schema`
    Json,
    /// One document per line
    Jsonl,
    /// Annotations of a GitHub workflow; only `check`
    Github,
    /// Comma-separated, for spreadsheets; only `audit`
    Csv,
    /// Markdown; only `plan` and `report`
    Md,
    /// One page that needs nothing from outside; only `report`
    Html,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// What is running, what waits for you, which playbooks are active
    Status,
    /// Show exactly what a playbook would change; changes nothing
    Plan(verb::plan::PlanArgs),
    /// Start a playbook: shows the plan, asks for the service's name, then watches
    Run(verb::run::RunArgs),
    /// Follow a run; Ctrl-C leaves, the run continues
    Watch(verb::watch::WatchArgs),
    /// Approve the plan of a run, or by name a fence that could not be proven
    Approve(verb::approve::ApproveArgs),
    /// Neither yes nor no: others are asked now
    Pass(verb::pass::PassArgs),
    /// Reject the plan of a run
    Reject(verb::reject::RejectArgs),
    /// Say that a manual step was done
    Confirm(verb::confirm::ConfirmArgs),
    /// Look again at a parked step and go on
    Retry(verb::retry::RetryArgs),
    /// Leave a stopped step out; the run then ends partial at best
    Skip(verb::skip::SkipArgs),
    /// Before the commit point: stop, and take back exactly what the run changed
    Abort(verb::abort::AbortArgs),
    /// End a parked run as it stands
    Close(verb::close::CloseArgs),
    /// Stop every run that is not past its commit point, for a time
    Freeze(verb::freeze::FreezeArgs),
    /// End a freeze before its time, or that of an instance that froze itself
    Thaw(verb::thaw::ThawArgs),
    /// Lift one rule for one service, for a while; needs the role incident-lead
    Override(verb::lift::OverrideArgs),
    /// Say that an old primary was dealt with; nothing watches it any more
    #[command(name = "close-watch")]
    CloseWatch(verb::close_watch::CloseWatchArgs),
    /// Say that you have seen what the last automatic run of a service did
    Ack(verb::ack::AckArgs),
    /// The storm breaker
    Breaker(verb::breaker::BreakerArgs),
    /// What was decided about a run, a service or an alert, and why
    Why(verb::why::WhyArgs),
    /// Validate playbooks and configuration, offline
    Check(verb::check::CheckArgs),
    /// Try playbooks against a simulated world, offline: their tests, and one fault at every place
    Test(verb::test::TestArgs),
    /// Which playbook an alert would start, and why not the others; with --against, for alerts on record
    Match(verb::match_alert::MatchArgs),
    /// Whether each playbook would work now: looks at everything, changes nothing
    Ready(verb::ready::ReadyArgs),
    /// JSON Schema of playbooks and of test files, for editors; or the list of actions
    Schema(verb::schema::SchemaArgs),
    /// Query, follow and verify the record
    Audit(verb::audit::AuditArgs),
    /// A run for the morning after: times, data, decisions, guards, changes, what to do next
    Report(verb::report::ReportArgs),
    /// A dead disk: go on with the run of a bundle in a new data directory; it starts frozen
    Resume(verb::resume::ResumeArgs),
    /// Copy and check the database, offline or beside the server
    Db(verb::db::DbArgs),
    /// A configuration and a playbook to begin with, from a few questions or flags; offline
    Init(verb::init::InitArgs),
    /// Run the server
    Serve(local::ServeArgs),
    /// Create, list and revoke tokens in the data directory
    Token(verb::token::TokenArgs),
    /// The playbooks that are in force: list, text, differences, history; out of use for a while
    Playbook(verb::playbook::PlaybookArgs),
    /// Whether a channel of notices works
    Notify(verb::notify::NotifyArgs),
    /// The page of an error's code; all codes without one
    Explain(verb::explain::ExplainArgs),
    /// The version of this program
    Version,
}

impl Cli {
    /// Reads the process's arguments; help, version and mistakes are printed here.
    pub fn from_command_line() -> Result<Cli, ExitCode> {
        let args: Vec<_> = std::env::args_os().collect();
        let wants_json = args.windows(2).any(|w| w[0] == "-o" && (w[1] == "json" || w[1] == "jsonl"))
            || args.iter().any(|a| {
                ["-ojson", "-ojsonl", "--output=json", "--output=jsonl"].iter().any(|json| a == json)
            });
        Cli::read(args).map_err(|error| {
            if error.use_stderr() && wants_json {
                let text = error.render().to_string();
                eprintln!("{}", usage_fault(text.trim_end()).as_json());
            } else {
                // The pipe may be closed; there is nobody left to tell.
                let _ = error.print();
            }
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Exit::Usage.code()))
        })
    }

    pub(super) fn read<T: Into<std::ffi::OsString> + Clone>(
        args: impl IntoIterator<Item = T>,
    ) -> Result<Cli, clap::Error> {
        let matches = Cli::command().try_get_matches_from(args)?;
        Cli::from_arg_matches(&matches)
    }
}

/// A reason that says nothing is none.
pub fn reason(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("a reason is required".into()),
        text => Ok(text.to_owned()),
    }
}

pub fn span(text: &str) -> Result<crate::kernel::domain::Span, String> {
    crate::units::parse_span(text)
}

fn usage_fault(text: &str) -> Fault {
    Fault::new(Exit::Usage, "PM0002", text.strip_prefix("error: ").unwrap_or(text))
        .state("nothing was done")
        .remedy("pointsman --help, or --help after the verb")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Cli, clap::Error> {
        Cli::read(line.split(' '))
    }

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_changes_something_needs_a_reason() {
        for line in [
            "run shop",
            "approve 7KQ4M2",
            "reject 7KQ4M2",
            "retry 7KQ4M2",
            "skip 7KQ4M2",
            "abort 7KQ4M2",
            "close 7KQ4M2",
        ] {
            let error = read(&format!("pointsman {line}")).expect_err(line).to_string();
            assert!(error.contains("--reason"), "{line}: {error}");
            assert!(read(&format!("pointsman {line} --reason power")).is_ok(), "{line}");
            assert!(read(&format!("pointsman {line} --reason=")).is_err(), "{line}: an empty reason is none");
        }
        assert!(read("pointsman confirm 7KQ4M2").is_ok());
    }

    #[test]
    fn there_is_no_way_to_say_yes_to_everything() {
        for flag in ["-y", "--yes", "--force", "-f"] {
            assert!(read(&format!("pointsman run shop --reason r {flag}")).is_err(), "{flag}");
        }
    }

    #[test]
    fn audit_lists_when_nothing_else_is_said() {
        for line in [
            "audit",
            "audit list --limit 5",
            "audit --run 7KQ4M2 --follow",
            "audit show 4",
            "audit verify",
            "audit playbook:shop --follow -o csv",
            "audit -action:observed",
            "audit -action:observed --limit 5",
        ] {
            assert!(read(&format!("pointsman {line}")).is_ok(), "{line}");
        }
        assert!(read("pointsman audit show x").is_err());
    }

    #[test]
    fn a_wait_is_written_with_its_unit() {
        assert!(read("pointsman watch 7KQ4M2 --timeout 5m").is_ok());
        assert!(read("pointsman watch 7KQ4M2 --timeout 5").is_err());
    }
}
