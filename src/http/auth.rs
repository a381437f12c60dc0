//! Who asks: a token, as bearer or as the password of basic authentication, or whoever may open the socket. The permission
//! is the extractor's type, and an [`Actor`] is got from it only for a service, so that a handler cannot forget either.

use super::Problem;
use super::listen::Peer;
use crate::kernel::domain::{Actor, Name, Role, Via};
use crate::worker::{App, Caller};
use axum::extract::{ConnectInfo, FromRequestParts};
use base64::Engine as _;
use http::{StatusCode, header, request::Parts};
use std::sync::Arc;

/// May look at everything.
pub struct Viewer(pub Caller);
/// May decide about runs of some service; which decision needs which role is the engine's to say.
pub struct Decider(Caller);
/// May start runs of some service.
pub struct Operator(Caller);
/// May deliver alerts. `user` is the name given with basic authentication.
pub struct SourceToken {
    pub user: Option<Name>,
}

/// On the socket: who opens it.
pub const AS: &str = "pointsman-as";

struct Given {
    user: Option<Name>,
    token: String,
}

impl Decider {
    pub fn on(&self, service: &Name) -> Result<Actor, Problem> {
        with_role(self.0.on(service), &Role::DECIDES, Some(service))
    }
    /// For what concerns every service.
    pub fn everywhere(&self) -> Result<Actor, Problem> {
        with_role(self.0.everywhere(), &Role::DECIDES, None)
    }
    /// For what concerns the journal itself.
    pub fn as_admin(&self) -> Result<Actor, Problem> {
        with_role(self.0.everywhere(), &[Role::Admin], None)
    }
    pub fn on_or_everywhere(&self, service: Option<&Name>) -> Result<Actor, Problem> {
        match service {
            Some(service) => self.on(service),
            None => self.everywhere(),
        }
    }
}

impl Operator {
    pub fn on(&self, service: &Name) -> Result<Actor, Problem> {
        with_role(self.0.on(service), &Role::STARTS, Some(service))
    }
}

fn with_role(actor: Actor, roles: &[Role], service: Option<&Name>) -> Result<Actor, Problem> {
    if roles.iter().any(|role| actor.has(*role)) {
        return Ok(actor);
    }
    let what = service.map_or_else(|| "every service".to_owned(), Name::to_string);
    Err(not_allowed(format!("{actor} has none of these roles for {what}: {}", names(roles)), roles))
}

impl FromRequestParts<Arc<App>> for Viewer {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        caller(parts, app, &Role::LOOKS).await.map(Viewer)
    }
}

impl FromRequestParts<Arc<App>> for Decider {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        caller(parts, app, &Role::DECIDES).await.map(Decider)
    }
}

impl FromRequestParts<Arc<App>> for Operator {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        caller(parts, app, &Role::STARTS).await.map(Operator)
    }
}

impl FromRequestParts<Arc<App>> for SourceToken {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let given = credentials(parts)?;
        identified(app, &given, &[Role::Source, Role::Admin]).await?;
        Ok(SourceToken { user: given.user })
    }
}

async fn caller(parts: &Parts, app: &App, roles: &[Role]) -> Result<Caller, Problem> {
    if let Some(named) = on_socket(parts)? {
        return by_socket(app, &named, roles);
    }
    let given = credentials(parts)?;
    identified(app, &given, roles).await
}

/// The name that is given on the socket, without a token. Over the network the header says nothing.
fn on_socket(parts: &Parts) -> Result<Option<Name>, Problem> {
    let peer = parts.extensions.get::<ConnectInfo<Peer>>();
    let socket = matches!(peer, Some(ConnectInfo(Peer::Socket)));
    if !socket || parts.headers.contains_key(header::AUTHORIZATION) {
        return Ok(None);
    }
    let name = parts.headers.get(AS).and_then(|value| value.to_str().ok()).map(str::trim);
    match name.filter(|name| !name.is_empty()) {
        Some(name) => Ok(Some(name.into())),
        None => Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "PM4003",
            "nobody is named: a decision without a name does not exist",
            "nothing was changed",
            "say who you are with --as NAME, a person of the configuration; or set POINTSMAN_TOKEN",
        )),
    }
}

/// Whoever may open the socket owns the database beside it: the name is believed, and the way is on record.
fn by_socket(app: &App, name: &Name, roles: &[Role]) -> Result<Caller, Problem> {
    let caller = Caller::of_person(name, &app.config, Via::Socket).ok_or_else(|| {
        Problem::new(
            StatusCode::UNAUTHORIZED,
            "PM4003",
            format!("{name} is no person of the configuration"),
            "nothing was changed",
            "name a [people.NAME] of the configuration with --as; or use a token",
        )
    })?;
    having(caller, roles)
}

fn credentials(parts: &Parts) -> Result<Given, Problem> {
    let value = parts.headers.get(header::AUTHORIZATION).ok_or_else(|| unauthorised("no token was sent"))?;
    let value = value.to_str().map_err(|_| unauthorised("the Authorization header is not text"))?;
    let (scheme, rest) =
        value.split_once(' ').ok_or_else(|| unauthorised("the Authorization header is incomplete"))?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Given { user: None, token: rest.trim().to_owned() });
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(unauthorised("only bearer and basic authentication are known"));
    }
    let bad = || unauthorised("the basic credentials cannot be read");
    let bytes = base64::engine::general_purpose::STANDARD.decode(rest.trim()).map_err(|_| bad())?;
    let text = String::from_utf8(bytes).map_err(|_| bad())?;
    let (user, token) = text.split_once(':').ok_or_else(bad)?;
    Ok(Given { user: Some(user.into()), token: token.to_owned() })
}

async fn identified(app: &App, given: &Given, roles: &[Role]) -> Result<Caller, Problem> {
    let token = app.store.authenticate(&given.token, app.world.now()).await.map_err(Problem::store)?;
    let token = token.ok_or_else(|| unauthorised("the token is not known, was revoked, or has expired"))?;
    let caller = Caller::of_token(&token.holder, &app.config).ok_or_else(|| {
        unauthorised(&format!(
            "the token is that of {}, who is not in the configuration",
            token.holder.name()
        ))
    })?;
    having(caller, roles)
}

fn having(caller: Caller, roles: &[Role]) -> Result<Caller, Problem> {
    match caller.has_any(roles) {
        true => Ok(caller),
        false => {
            let held = caller.says();
            Err(not_allowed(format!("{} has the role {held}, which may not do this", caller.name()), roles))
        }
    }
}

fn not_allowed(failed: String, roles: &[Role]) -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "PM4004",
        failed,
        "nothing was changed",
        format!("it takes one of these roles: {}", names(roles)),
    )
}

fn names(roles: &[Role]) -> String {
    roles.iter().map(|r| r.as_str()).collect::<Vec<_>>().join(", ")
}

fn unauthorised(why: &str) -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "PM4003",
        why,
        "nothing was changed",
        "send a token as `Authorization: Bearer …`; `pointsman token create` makes one",
    )
}
