//! Who asks: a token, as bearer or as the password of basic authentication. The permission is the extractor's
//! type, so that a handler cannot forget it.

use super::Problem;
use crate::kernel::domain::{Actor, Name, Role, Via};
use crate::worker::App;
use axum::extract::FromRequestParts;
use base64::Engine as _;
use http::{StatusCode, header, request::Parts};
use std::sync::Arc;

/// May look at everything.
pub struct Viewer(pub Actor);
/// May decide about runs; which decision needs which role is the engine's to say.
pub struct Decider(pub Actor);
/// May start runs.
pub struct Operator(pub Actor);
/// May deliver alerts. `user` is the name given with basic authentication.
pub struct SourceToken {
    pub user: Option<Name>,
}

struct Given {
    user: Option<Name>,
    token: String,
}

impl FromRequestParts<Arc<App>> for Viewer {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let all = [Role::Viewer, Role::Approver, Role::Operator, Role::IncidentLead, Role::Admin];
        actor(parts, app, &all).await.map(Viewer)
    }
}

impl FromRequestParts<Arc<App>> for Decider {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        actor(parts, app, &[Role::Approver, Role::Operator, Role::IncidentLead, Role::Admin])
            .await
            .map(Decider)
    }
}

impl FromRequestParts<Arc<App>> for Operator {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        actor(parts, app, &[Role::Operator, Role::IncidentLead, Role::Admin]).await.map(Operator)
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

async fn actor(parts: &Parts, app: &App, roles: &[Role]) -> Result<Actor, Problem> {
    let given = credentials(parts)?;
    identified(app, &given, roles).await
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

async fn identified(app: &App, given: &Given, roles: &[Role]) -> Result<Actor, Problem> {
    let token = app.store.authenticate(&given.token, app.world.now()).await.map_err(Problem::store)?;
    let token = token.ok_or_else(|| unauthorised("the token is not known, or was revoked"))?;
    if !roles.contains(&token.role) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "PM4004",
            format!("the token {} has the role {}, which may not do this", token.name, token.role.as_str()),
            "nothing was changed",
            format!("use a token of one of these roles: {}", names(roles)),
        ));
    }
    Ok(Actor { name: token.name, roles: vec![token.role], via: Via::Api })
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
