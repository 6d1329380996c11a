//! The CRUD twin. It answers as the service does, but for errors and cursors.

use super::table::{GET, UPDATE};
use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Bytes, Data, Path, Query, ServiceConfig},
};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use service_kit::{auth::Authenticator, problem::Problem, settings::Settings};
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{str::FromStr as _, sync::Arc};
use time::OffsetDateTime;
use uuid::Uuid;

/// As many as the service has for reads.
const CONNECTIONS: u32 = 12;

const INSERT: &str = "INSERT INTO users (tenant_id, id, version, created_at, claims, body, creation_digest, log_partition, log_offset) \
    VALUES ($1, $2, 1, now(), $3::jsonb, $4, '', 0, 0)";
const DELETE: &str = "DELETE FROM users WHERE tenant_id = $1 AND id = $2";
const PAGE: &str = "SELECT body, created_at, id FROM users \
    WHERE tenant_id = $1 AND (created_at, id) > ($2, $3) AND isfinite(created_at) ORDER BY created_at, id LIMIT $4";

pub(super) struct State {
    pool: PgPool,
    authenticator: Arc<Authenticator>,
}

impl State {
    /// On the table of this schema.
    pub(super) fn open(
        settings: &Settings,
        authenticator: Arc<Authenticator>,
        schema: &str,
    ) -> anyhow::Result<Self> {
        let options = PgConnectOptions::from_str(settings.database_url()?)?
            .options([("synchronous_commit", "on"), ("search_path", schema)])
            .application_name("crud twin");
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).test_before_acquire(false);
        Ok(Self { pool: pool.connect_lazy_with(options), authenticator })
    }

    async fn tenant(&self, request: &HttpRequest) -> Result<String, Problem> {
        Ok(self.authenticator.authenticate(request).await?.tenant.to_string())
    }
}

pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .route("/core/v1/users", web::get().to(list))
        .route("/core/v1/users", web::post().to(create))
        .route("/core/v1/users/{id}", web::get().to(get))
        .route("/core/v1/users/{id}", web::put().to(update))
        .route("/core/v1/users/{id}", web::delete().to(delete));
}

fn failed(error: sqlx::Error) -> actix_web::Error {
    actix_web::error::ErrorInternalServerError(error)
}

fn answer(body: String, version: i64) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .insert_header(("ETag", format!("\"{version}\"")))
        .body(body)
}

async fn get(
    state: Data<State>,
    request: HttpRequest,
    id: Path<Uuid>,
) -> Result<HttpResponse, actix_web::Error> {
    let tenant = state.tenant(&request).await?;
    let row: Option<(String, i64)> =
        sqlx::query_as(GET).bind(tenant).bind(*id).fetch_optional(&state.pool).await.map_err(failed)?;
    Ok(row.map_or_else(|| HttpResponse::NotFound().finish(), |(body, version)| answer(body, version)))
}

/// The claims of a request, and the body to store.
fn parsed(body: &Bytes, id: Uuid) -> Result<(String, String), actix_web::Error> {
    let value: Value = serde_json::from_slice(body).map_err(actix_web::error::ErrorBadRequest)?;
    let claims = value.get("claims").filter(|claims| claims.is_object());
    let claims = claims.ok_or_else(|| actix_web::error::ErrorBadRequest("claims: must be an object"))?;
    Ok((claims.to_string(), json!({ "id": id, "claims": claims }).to_string()))
}

async fn update(
    state: Data<State>,
    request: HttpRequest,
    id: Path<Uuid>,
    body: Bytes,
) -> Result<HttpResponse, actix_web::Error> {
    let tenant = state.tenant(&request).await?;
    let (claims, stored) = parsed(&body, *id)?;
    let version: Option<i64> = sqlx::query_scalar(UPDATE)
        .bind(tenant)
        .bind(*id)
        .bind(claims)
        .bind(&stored)
        .fetch_optional(&state.pool)
        .await
        .map_err(failed)?;
    Ok(version.map_or_else(|| HttpResponse::NotFound().finish(), |version| answer(stored, version)))
}

async fn create(
    state: Data<State>,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, actix_web::Error> {
    let tenant = state.tenant(&request).await?;
    let id = Uuid::new_v4();
    let (claims, stored) = parsed(&body, id)?;
    sqlx::query(INSERT)
        .bind(tenant)
        .bind(id)
        .bind(claims)
        .bind(&stored)
        .execute(&state.pool)
        .await
        .map_err(failed)?;
    Ok(HttpResponse::Created().content_type("application/json").body(stored))
}

async fn delete(
    state: Data<State>,
    request: HttpRequest,
    id: Path<Uuid>,
) -> Result<HttpResponse, actix_web::Error> {
    let tenant = state.tenant(&request).await?;
    let deleted = sqlx::query(DELETE).bind(tenant).bind(*id).execute(&state.pool).await.map_err(failed)?;
    let is_gone = deleted.rows_affected() > 0;
    Ok(if is_gone { HttpResponse::NoContent().finish() } else { HttpResponse::NotFound().finish() })
}

/// Where a page begins: after this user.
#[derive(Deserialize)]
struct PageQuery {
    limit: usize,
    /// Microseconds since 1970, and the id.
    cursor: Option<String>,
}

async fn list(
    state: Data<State>,
    request: HttpRequest,
    query: Query<PageQuery>,
) -> Result<HttpResponse, actix_web::Error> {
    let tenant = state.tenant(&request).await?;
    let after = query.cursor.as_deref().and_then(|cursor| {
        let (at, id) = cursor.split_once('_')?;
        let at = OffsetDateTime::from_unix_timestamp_nanos(at.parse::<i128>().ok()? * 1_000).ok()?;
        Some((at, id.parse().ok()?))
    });
    let (at, id): (OffsetDateTime, Uuid) = after.unwrap_or((OffsetDateTime::UNIX_EPOCH, Uuid::nil()));
    let mut rows: Vec<(String, OffsetDateTime, Uuid)> = sqlx::query_as(PAGE)
        .bind(tenant)
        .bind(at)
        .bind(id)
        .bind(query.limit as i64 + 1)
        .fetch_all(&state.pool)
        .await
        .map_err(failed)?;
    let has_more = rows.len() > query.limit;
    rows.truncate(query.limit);
    let next = rows.last().filter(|_| has_more);
    let next = next.map(|(_, at, id)| format!("{}_{id}", at.unix_timestamp_nanos() / 1_000));
    let data: Vec<Box<RawValue>> =
        rows.into_iter().filter_map(|(body, ..)| RawValue::from_string(body).ok()).collect();
    Ok(HttpResponse::Ok().json(Page { data, next_cursor: next }))
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    data: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}
