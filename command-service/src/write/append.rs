//! Step 4: append the event to the log.

use super::{Failure, Writer};
use crate::{
    log::{AppendError, Record},
    problems, representation,
};
use domain::{codec::seal, decide::Decision};
use events_schema::{Envelope, UserKey, millis, user::UserEvent};
use key_store::DataKey;
use read_model::projection_position::LiveLog;
use service_kit::{operation::Call, position::LogPosition, problem::Problem};
use std::sync::Arc;
use time::OffsetDateTime;
use uuid::Uuid;

/// An event that was sent to the log, and where to look for it.
#[derive(Debug, Clone)]
pub(crate) struct SentEvent {
    /// `ce_id`
    pub(crate) id: Uuid,
    pub(crate) key: UserKey,
    pub(crate) log: LiveLog,
    pub(crate) partition: u32,
    /// The first offset at which it can be.
    pub(crate) from: i64,
}

impl SentEvent {
    /// The same event in the live log. If that is not the log it was meant for, the event may be
    /// anywhere in its partition.
    pub(super) fn in_log(self, log: LiveLog) -> Self {
        if self.log == log {
            return self;
        }
        Self { partition: self.key.partition(log.partitions), log, from: 0, ..self }
    }
}

/// An event of this process in the log.
#[derive(Debug, Clone)]
pub(crate) struct Appended {
    pub(crate) event: SentEvent,
    pub(crate) position: LogPosition,
    /// The user's version once the event is accepted.
    pub(crate) version: u64,
    /// The user's representation at that version. `None` after a delete.
    pub(crate) body: Option<String>,
}

impl Writer {
    /// Seals and appends the event of a decision.
    pub(super) async fn append(
        &self,
        call: &Call,
        key: &UserKey,
        decision: Decision,
        data_key: Option<Arc<DataKey>>,
        log: LiveLog,
    ) -> Result<Appended, Failure> {
        let Decision { sequence: version, event } = decision;
        let to_json = |personal| representation::of(key.user, personal);
        let body = event.personal().map(to_json).transpose();
        let body = body.map_err(|_| problems::representation_too_large())?;
        let event = seal(key, version, event, data_key.as_deref()).map_err(|error| {
            tracing::error!(%error, "an event could not be sealed");
            Problem::internal()
        })?;
        let key_id = data_key.map(|key| key.id()).filter(|_| event.is_sealed());
        let id = Uuid::now_v7();
        let record = record(call, key, id, version, key_id, &event);
        let partition = key.partition(log.partitions);
        // Everything before this offset is folded, so the event gets this one or a later one.
        let from = self.projection.next_offset(log, partition);
        let event = SentEvent { id, key: key.clone(), log, partition, from };
        match self.log.append(&record, log.partitions).await {
            Ok(position) if position.offset < from => {
                let offset = position.offset;
                tracing::error!(partition, from, offset, "the log is not the one that was folded");
                Err(Failure::Unconfirmed(Box::new(event), problems::log_replaced_meanwhile()))
            }
            Ok(position) => Ok(Appended { event, position: log.position(position), version, body }),
            Err(error @ AppendError::Unknown) => {
                Err(Failure::Unconfirmed(Box::new(event), problems::append_failed(error)))
            }
            Err(error) => Err(problems::append_failed(error).into()),
        }
    }
}

fn record(
    call: &Call,
    key: &UserKey,
    id: Uuid,
    sequence: u64,
    key_id: Option<Uuid>,
    event: &UserEvent,
) -> Record {
    let envelope = Envelope {
        id,
        event_type: event.event_type(),
        time: millis(OffsetDateTime::now_utc()),
        user: key.user,
        tenant: key.tenant.clone(),
        sequence: Some(sequence),
        key_id,
        request_id: Some(call.context.request_id.clone()),
        client_id: call.context.client_id.clone(),
        traceparent: Some(call.context.traceparent.clone()),
    };
    Record { key: key.clone(), headers: envelope.headers(), value: event.data() }
}
