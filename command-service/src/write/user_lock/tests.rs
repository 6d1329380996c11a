use super::*;
use futures_util::FutureExt as _;
use service_kit::position::Position;

const LONG: Duration = Duration::from_secs(60);

fn key(tenant: &str) -> UserKey {
    UserKey { tenant: tenant.parse().unwrap(), user: Uuid::nil() }
}

impl UserLocks {
    fn len(&self) -> usize {
        self.users().len()
    }
}

#[tokio::test]
async fn writers_of_one_user_come_one_after_the_other_in_their_order() {
    let (locks, key) = (UserLocks::default(), key("acme"));
    let first = locks.acquire(&key, LONG).await;
    let done = Arc::new(Mutex::new(Vec::new()));
    let writers = (0..64).map(|n| {
        let (locks, key, done) = (locks.clone(), key.clone(), done.clone());
        async move {
            let _lock = locks.acquire(&key, LONG).await.unwrap();
            let before = done.lock().unwrap().len();
            tokio::task::yield_now().await;
            assert_eq!(done.lock().unwrap().len(), before, "two at once");
            done.lock().unwrap().push(n);
        }
    });
    let all = futures_util::future::join_all(writers);
    tokio::join!(all, async { drop(first) });
    assert_eq!(*done.lock().unwrap(), (0..64).collect::<Vec<_>>());
    assert_eq!(locks.len(), 0);
}

#[tokio::test]
async fn users_and_tenants_do_not_wait_for_one_another() {
    let locks = UserLocks::default();
    let ours = locks.acquire(&key("a"), LONG).now_or_never().flatten();
    let theirs = locks.acquire(&key("b"), LONG).now_or_never().flatten();
    assert!(ours.is_some() && theirs.is_some());
    assert_eq!(locks.len(), 2);
    drop((ours, theirs));
    assert_eq!(locks.len(), 0);
}

#[tokio::test]
async fn another_instance_is_remembered_for_a_while() {
    let (locks, key) = (UserLocks::default(), key("acme"));
    let mut first = locks.acquire(&key, LONG).await.unwrap();
    assert_eq!(first.contended(|_| true), None, "nothing of ours to be contended");
    first.record_attempt(LONG, Some(LogPosition { epoch: 1, at: Position { partition: 0, offset: 7 } }));
    let (second, ()) = tokio::join!(locks.acquire(&key, LONG), async { drop(first) });
    let mut second = second.unwrap();
    assert_eq!(second.contended(|_| false), None);
    assert_eq!(second.contended(|position| position.at.offset == 7), Some(LONG));
    assert!((1..CONTENDED_WRITES).all(|_| second.contended(|_| false) == Some(LONG)));
    assert_eq!(second.contended(|_| false), None);
    let at = |offset| LogPosition { epoch: 1, at: Position { partition: 0, offset } };
    second.record_attempt(LONG, Some(at(9)));
    assert_eq!(second.contended(|position| position == at(7)), Some(LONG), "what lost between the last two");
}

#[tokio::test]
async fn who_waited_long_enough_goes_without_and_leaves_nothing_behind() {
    let (locks, key) = (UserLocks::default(), key("acme"));
    let first = locks.acquire(&key, LONG).await;
    assert!(locks.acquire(&key, Duration::from_millis(1)).await.is_none());
    let gone = locks.acquire(&key, LONG);
    assert!(gone.now_or_never().is_none(), "a writer whose request is dropped leaves the queue");
    drop(first);
    assert_eq!(locks.len(), 0);
}
