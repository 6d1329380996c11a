//! What tells a topic from another one of the same name: the id that the brokers assigned when it
//! was created, and its number of partitions.
//!
//! rdkafka's admin client does not ask for the id, so librdkafka is called directly.

#![allow(unsafe_code, reason = "rdkafka has no safe way to describe topics")]

use super::client_config;
use crate::settings::Settings;
use anyhow::{Context as _, bail};
use rdkafka::{
    ClientConfig, admin::AdminClient, bindings as rd, client::DefaultClientContext,
    error::RDKafkaErrorCode as Code, helpers::rd_kafka_resp_err_t_to_rdkafka_error as code,
};
use std::{
    ffi::{CStr, CString, c_char, c_int},
    ptr::{NonNull, null_mut},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How long the brokers may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// What the brokers report about a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Its id, as Kafka prints it.
    pub id: String,
    /// Its number of partitions.
    pub partitions: u32,
}

/// Asks the brokers for the ids of topics. Cheap to clone.
#[derive(Clone)]
pub struct TopicIds {
    config: ClientConfig,
    client: Arc<Mutex<Arc<Client>>>,
}

type Client = AdminClient<DefaultClientContext>;

impl TopicIds {
    /// Creates the client. It connects on first use.
    ///
    /// # Errors
    /// The settings are not valid for a client.
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        let config = client_config(settings)?;
        let client = make(&config)?;
        Ok(Self { config, client: Arc::new(Mutex::new(client)) })
    }

    /// The topics' ids as Kafka prints them, in the order of their names. `None` if a topic does
    /// not exist; it is never created. Brokers before 2.8 have no ids: there every topic has the id
    /// of zeros.
    ///
    /// # Errors
    /// The brokers did not answer in time, or refused.
    pub async fn of<const N: usize>(&self, topics: [&str; N]) -> anyhow::Result<[Option<String>; N]> {
        Ok(self.describe(topics).await?.map(|topic| topic.map(|topic| topic.id)))
    }

    /// Like [`Self::of`], with the number of partitions.
    ///
    /// # Errors
    /// The brokers did not answer in time, or refused.
    pub async fn describe<const N: usize>(
        &self,
        topics: [&str; N],
    ) -> anyhow::Result<[Option<Described>; N]> {
        let names: Vec<CString> = topics.into_iter().map(CString::new).collect::<Result<_, _>>()?;
        let client = self.client().clone();
        let asked = tokio::task::spawn_blocking(move || describe(&client, &names)).await?;
        if asked.is_err() {
            // The client may not find the brokers again: see `Contact`.
            let old = std::mem::replace(&mut *self.client(), make(&self.config)?);
            // Dropping it takes a moment.
            tokio::task::spawn_blocking(move || drop(old));
        }
        let found = asked?;
        found.try_into().map_err(|_| anyhow::anyhow!("the brokers described other topics"))
    }

    fn client(&self) -> MutexGuard<'_, Arc<Client>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn make(config: &ClientConfig) -> anyhow::Result<Arc<Client>> {
    config.create().map(Arc::new).context("the Kafka client can't be created")
}

/// An object of librdkafka, destroyed on drop.
struct Owned<T>(NonNull<T>, unsafe extern "C" fn(*mut T));

impl<T> Owned<T> {
    fn new(made: *mut T, destroy: unsafe extern "C" fn(*mut T)) -> anyhow::Result<Self> {
        Ok(Self(NonNull::new(made).context("librdkafka gave nothing")?, destroy))
    }

    fn ptr(&self) -> *mut T {
        self.0.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: `new` received the pointer together with its destructor, and nobody else owns it.
        unsafe { (self.1)(self.ptr()) }
    }
}

/// Blocks until the brokers have answered.
fn describe(
    client: &AdminClient<DefaultClientContext>,
    names: &[CString],
) -> anyhow::Result<Vec<Option<Described>>> {
    let client = client.inner().native_ptr();
    let mut texts: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let millis = c_int::try_from(ANSWER_TIMEOUT.as_millis())?;
    // SAFETY: the client outlives this call, since the caller holds it; the names live as long as
    // `names` and are copied; each object has one owner here and is destroyed before the objects
    // that it was made from.
    unsafe {
        let queue = Owned::new(rd::rd_kafka_queue_new(client), rd::rd_kafka_queue_destroy)?;
        let operation = rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        let options = rd::rd_kafka_AdminOptions_new(client, operation);
        let options = Owned::new(options, rd::rd_kafka_AdminOptions_destroy)?;
        rd::rd_kafka_AdminOptions_set_request_timeout(options.ptr(), millis, null_mut(), 0);
        let topics = rd::rd_kafka_TopicCollection_of_topic_names(texts.as_mut_ptr(), texts.len());
        let topics = Owned::new(topics, rd::rd_kafka_TopicCollection_destroy)?;
        rd::rd_kafka_DescribeTopics(client, topics.ptr(), options.ptr(), queue.ptr());
        // The request ends by its own timeout, so there is always an event. The limit guards
        // against a fault in the library.
        let event = rd::rd_kafka_queue_poll(queue.ptr(), millis * 2);
        read(&Owned::new(event, rd::rd_kafka_event_destroy).context("no broker answers")?)
    }
}

/// The topics in a reply.
///
/// # Safety
/// The event must come from a queue that only `rd_kafka_DescribeTopics` answers to.
unsafe fn read(event: &Owned<rd::rd_kafka_event_t>) -> anyhow::Result<Vec<Option<Described>>> {
    // SAFETY: the event is such a reply; the descriptions belong to it and are read while it lives.
    unsafe {
        let error = code(rd::rd_kafka_event_error(event.ptr()));
        if error != Code::NoError {
            bail!("the topics' ids can't be read: {error}");
        }
        let result = rd::rd_kafka_event_DescribeTopics_result(event.ptr());
        anyhow::ensure!(!result.is_null(), "the topics' ids can't be read: unexpected reply");
        let mut count = 0;
        let topics = rd::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        (0..count).map(|n| topic(*topics.add(n))).collect()
    }
}

/// # Safety
/// The description must be null or alive.
unsafe fn topic(topic: *const rd::rd_kafka_TopicDescription_t) -> anyhow::Result<Option<Described>> {
    anyhow::ensure!(!topic.is_null(), "the brokers left a topic out");
    // SAFETY: name, error and id belong to the description and are copied.
    unsafe {
        let error = rd::rd_kafka_TopicDescription_error(topic);
        // Without an error, the code is `NoError`.
        match code(rd::rd_kafka_error_code(error)) {
            Code::NoError => {
                let id = rd::rd_kafka_Uuid_base64str(rd::rd_kafka_TopicDescription_topic_id(topic));
                anyhow::ensure!(!id.is_null(), "a topic's id can't be printed");
                let id = CStr::from_ptr(id).to_string_lossy().into_owned();
                let mut partitions = 0;
                rd::rd_kafka_TopicDescription_partitions(topic, &raw mut partitions);
                Ok(Some(Described { id, partitions: u32::try_from(partitions)? }))
            }
            Code::UnknownTopicOrPartition | Code::UnknownTopic => Ok(None),
            error => {
                let name = CStr::from_ptr(rd::rd_kafka_TopicDescription_name(topic));
                bail!("topic {}: {error}", name.to_string_lossy())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_brokers_there_is_no_answer() {
        let vars = [("KAFKA_BROKERS".to_owned(), "127.0.0.1:1".to_owned())];
        let settings = Settings::from_vars(vars, "127.0.0.1:0").unwrap();
        assert!(TopicIds::new(&settings).unwrap().of(["a"]).await.is_err());
    }
}
