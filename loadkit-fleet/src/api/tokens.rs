//! Tokens: make, list, revoke.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::access::Who;
use super::fault::Fault;
use super::runs::Faults;
use super::wire::TokenRequest;
use super::{Asked, Front};
use crate::auth::{AuthError, Known, NewToken, Role, TokenInfo, Tokens};

/// The tokens, for who may see to them.
fn tokens<'a>(front: &'a Front, who: &Known) -> Result<&'a Tokens, Fault> {
    let Some(tokens) = front.access.tokens() else {
        return Err(Fault::Missing("this fleet does not tell its callers apart by tokens".into()));
    };
    who.must(Role::Admin)?;
    Ok(tokens)
}

/// What a token that is asked for may do.
fn role(request: &TokenRequest) -> Result<Role, Fault> {
    match (request.role, request.admin) {
        (None, false) => Ok(Role::Launch),
        (None | Some(Role::Admin), true) => Ok(Role::Admin),
        (Some(role), false) => Ok(role),
        (Some(role), true) => {
            Err(Fault::Bad(format!("`admin` is true and `role` is {role}: say one of them, the role is enough")))
        }
    }
}

/// Makes a token. It is shown once, here.
#[utoipa::path(post, operation_id = "create_token", path = "/v1/tokens", tag = "tokens", request_body = TokenRequest,
    responses((status = 201, description = "The token, shown this once", body = NewToken), Faults),
    security(("bearer" = []), ("sigv4" = [])))]
pub(super) async fn create(
    State(front): State<Front>,
    Who(who): Who,
    Asked(request): Asked<TokenRequest>,
) -> Result<(StatusCode, Json<NewToken>), Fault> {
    let new = tokens(&front, &who)?.create(&request.name, role(&request)?, &who.caller).await?;
    Ok((StatusCode::CREATED, Json(new)))
}

/// All tokens, revoked ones included; not the secrets, which nobody has.
#[utoipa::path(get, operation_id = "list_tokens", path = "/v1/tokens", tag = "tokens",
    responses((status = 200, description = "The tokens", body = Vec<TokenInfo>), Faults),
    security(("bearer" = []), ("sigv4" = [])))]
pub(super) async fn list(State(front): State<Front>, Who(who): Who) -> Result<Json<Vec<TokenInfo>>, Fault> {
    Ok(Json(tokens(&front, &who)?.list().await?))
}

/// Revokes a token: it is refused from now on.
#[utoipa::path(delete, operation_id = "revoke_token", path = "/v1/tokens/{name}", tag = "tokens",
    params(("name" = String, Path, description = "The token's name")),
    responses((status = 200, description = "The token, revoked", body = TokenInfo), Faults), security(("bearer" = []), ("sigv4" = [])))]
pub(super) async fn revoke(
    State(front): State<Front>,
    Who(who): Who,
    Path(name): Path<String>,
) -> Result<Json<TokenInfo>, Fault> {
    match tokens(&front, &who)?.revoke(&name).await {
        Ok(info) => Ok(Json(info)),
        Err(AuthError::Unknown) => Err(Fault::Missing("there is no token of this name".into())),
        Err(error) => Err(error.into()),
    }
}
