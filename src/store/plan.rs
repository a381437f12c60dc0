//! Plans as they were shown, by name: rows beside the journal that cost nothing when they are lost. `POST /plans` keeps
//! each, `GET /plans/NAME` and `run --plan` find it. Whether one was used is asked of the journal, never of a row here.

use super::token::TokenDeed;
use super::{SqliteStore, StoreError};
use crate::kernel::domain::{Digest, RunId, Span, Time};
use serde_json::Value;
use sqlx::{Row, SqliteConnection};

/// A plan is valid for minutes; that long it can be read back.
const KEPT_FOR: Span = Span::mins(7 * 24 * 60);
/// Whoever may look may plan: more than these are not kept.
const KEPT: i64 = 500;

#[derive(Clone, Debug, PartialEq)]
pub struct KeptPlan {
    /// Also the name of the run that it opens.
    pub id: RunId,
    pub digest: Digest,
    pub made: Time,
    pub document: Value,
}

/// A name that is taken changes nothing: 0 rows.
pub(super) async fn carry_out(conn: &mut SqliteConnection, plan: KeptPlan) -> Result<u64, sqlx::Error> {
    let oldest = plan.made.0.saturating_sub(i64::try_from(KEPT_FOR.0).unwrap_or(i64::MAX));
    sqlx::query("DELETE FROM plan WHERE made < ?1").bind(oldest).execute(&mut *conn).await?;
    sqlx::query(
        "DELETE FROM plan WHERE id IN (SELECT id FROM plan ORDER BY made DESC, id LIMIT -1 OFFSET ?1)",
    )
    .bind(KEPT - 1)
    .execute(&mut *conn)
    .await?;
    let sql =
        "INSERT INTO plan (id, digest, made, document) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id) DO NOTHING";
    let insert = sqlx::query(sql)
        .bind(plan.id.to_string())
        .bind(plan.digest.to_string())
        .bind(plan.made.0)
        .bind(plan.document.to_string());
    Ok(insert.execute(conn).await?.rows_affected())
}

impl SqliteStore {
    /// False: the name is taken, and nothing was kept.
    pub async fn keep_plan(&self, plan: KeptPlan) -> Result<bool, StoreError> {
        Ok(self.token_deed(TokenDeed::Plan(plan)).await? > 0)
    }

    /// By name, or by the first characters of a digest: then the newest of that digest.
    pub async fn plan(&self, named: &str) -> Result<Option<KeptPlan>, StoreError> {
        let failed = |e: &dyn std::fmt::Display| StoreError::token(e);
        let sql = "SELECT id, digest, made, document FROM plan \
                   WHERE id = ?1 OR (length(?2) >= 7 AND substr(digest, 1, length(?2)) = ?2) \
                   ORDER BY id = ?1 DESC, made DESC LIMIT 1";
        let row = sqlx::query(sql)
            .bind(named.to_ascii_uppercase())
            .bind(named.to_ascii_lowercase())
            .fetch_optional(&self.readers)
            .await
            .map_err(|e| failed(&e))?;
        let Some(row) = row else { return Ok(None) };
        let text = |column: usize| row.try_get::<String, _>(column).map_err(|e| failed(&e));
        let digest = Digest::parse(&text(1)?).ok_or_else(|| failed(&"a plan has a digest that is none"))?;
        Ok(Some(KeptPlan {
            id: RunId::new(text(0)?),
            digest,
            made: Time(row.try_get(2).map_err(|e| failed(&e))?),
            document: serde_json::from_str(&text(3)?).map_err(|e| failed(&e))?,
        }))
    }
}
