//! `pointsman token`: rows of the data directory; no server is needed, and one that runs sees them within two seconds.

use crate::cli::table::{Table, cell};
use crate::cli::{Exit, Talk, local};
use crate::kernel::domain::SignIn;
use crate::kernel::port::World as _;
use crate::store::{self, Holder, Token};
use crate::worker::SystemWorld;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Clone, Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct TokenArgs {
    #[command(subcommand)]
    verb: TokenVerb,
}

#[derive(Clone, Debug, Subcommand)]
enum TokenVerb {
    /// Print a new token, alone, on stdout; it is shown only this once
    Create(local::TokenCreateArgs),
    /// Which tokens there are, with the id that `revoke` takes; never a token itself
    List(DataArgs),
    /// Print a code to sign in with at a browser: for ten minutes, and for one time
    LoginCode(CodeArgs),
    /// Print new recovery codes, to be kept for the day on which nothing else works; older ones are good for nothing then
    RecoveryCodes(CodeArgs),
    /// Let a token go for good; a running server stops taking it within two seconds
    Revoke(RevokeArgs),
}

#[derive(Clone, Debug, Args)]
struct DataArgs {
    #[arg(long, value_name = "DIR", default_value = ".")]
    data: PathBuf,
}

#[derive(Clone, Debug, Args)]
struct CodeArgs {
    /// A person of the configuration
    #[arg(long)]
    person: String,
    #[command(flatten)]
    data: DataArgs,
}

#[derive(Clone, Debug, Args)]
struct RevokeArgs {
    /// As `token list` shows it
    id: String,
    #[command(flatten)]
    data: DataArgs,
}

pub async fn run(args: &TokenArgs, talk: &mut Talk) -> anyhow::Result<ExitCode> {
    match &args.verb {
        TokenVerb::Create(args) => local::token_create(args).await,
        TokenVerb::List(args) => Ok(list(args, talk).await?.into()),
        TokenVerb::LoginCode(args) => Ok(codes(args, SignIn::Code, talk).await?.into()),
        TokenVerb::RecoveryCodes(args) => Ok(codes(args, SignIn::Recovery, talk).await?.into()),
        TokenVerb::Revoke(args) => Ok(revoke(args, talk).await?.into()),
    }
}

fn document(token: &Token) -> Value {
    let person = matches!(token.holder, Holder::Person { .. });
    json!({ "id": token.id(), "role": token.holder.role(), "name": token.holder.name(), "person": person,
        "created": token.created, "expires": token.expires, "last_used": token.last_used, "revoked": token.revoked })
}

fn role_of(token: &Token) -> &'static str {
    match &token.holder {
        Holder::Named { role, .. } | Holder::Person { only: Some(role), .. } => role.as_str(),
        Holder::Person { only: None, .. } => "as the person",
    }
}

/// The codes alone on stdout; what they are good for is said beside them.
async fn codes(args: &CodeArgs, how: SignIn, talk: &mut Talk) -> anyhow::Result<Exit> {
    let (now, person) = (SystemWorld::new().now(), args.person.as_str().into());
    let codes =
        store::make_codes(&args.data.data, &person, how, now).await.map_err(|e| local::in_parts(e.into()))?;
    for code in codes {
        talk.print(code.expose())?;
    }
    talk.say(&match how {
        SignIn::Code => format!("good for {person}, once, within ten minutes, at /sign-in"),
        SignIn::Recovery => format!(
            "each is good for {person}, once, at /sign-in; everybody sees its use. Older ones are good for nothing now"
        ),
    });
    Ok(Exit::Done)
}

async fn list(args: &DataArgs, talk: &mut Talk) -> anyhow::Result<Exit> {
    let tokens = store::list_tokens(&args.data).await.map_err(|e| local::in_parts(e.into()))?;
    if talk.wants_json() {
        let all: Vec<Value> = tokens.iter().map(document).collect();
        talk.document(&json!({ "schema": "pointsman.tokens/v1", "tokens": all }))?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(0);
    table.head(&["ID", "ROLE", "NAME", "CREATED", "EXPIRES", "LAST USED", "REVOKED"]);
    for token in &tokens {
        let time = |at: Option<_>, none: &str| at.map_or(none.to_owned(), |at| talk.look.date_time(at));
        table.row([
            cell(token.id()),
            cell(role_of(token)),
            cell(token.holder.name()),
            cell(talk.look.date_time(token.created)),
            cell(time(token.expires, "never")),
            cell(time(token.last_used, "never")),
            cell(time(token.revoked, "-")),
        ]);
    }
    for line in table.lines(&talk.look) {
        talk.print(&line)?;
    }
    Ok(Exit::Done)
}

async fn revoke(args: &RevokeArgs, talk: &mut Talk) -> anyhow::Result<Exit> {
    let now = SystemWorld::new().now();
    let (token, live) =
        store::revoke_token(&args.data.data, &args.id, now).await.map_err(|e| local::in_parts(e.into()))?;
    if talk.wants_json() {
        let mut token = document(&token);
        if live {
            token["revoked"] = json!(now);
        }
        talk.document(&json!({ "schema": "pointsman.token/v1", "token": token, "was_live": live }))?;
        return Ok(Exit::Done);
    }
    let whose = format!("token {} of {}, role {}", token.id(), token.holder.name(), role_of(&token));
    talk.print(&match token.revoked {
        Some(at) if !live => format!("{whose}, was revoked before, at {}", talk.look.date_time(at)),
        _ if live => format!("{whose}, is revoked; a running server stops taking it within two seconds"),
        _ => format!("{whose}, was revoked by somebody else just now"),
    })?;
    Ok(Exit::Done)
}
