//! The rules of the cache, checked exhaustively on a small model: two projectors that may freeze at
//! any step, two Redis servers that may be flushed, restarted from a snapshot or swapped, and
//! messages that arrive late or never.
//!
//! There is one user. So a cache that is behind is written at once, and not by a walk over many.
//! The steps of a walk are writes like any other: each has no effect unless `next` is where it
//! starts.
//!
//! There is one invariant: **a body that a reader would trust has the version that PostgreSQL
//! shows**. A read is a single point in time on either store. So every answered write is seen, and
//! reads never go backwards.
//!
//! Then each rule is removed, one at a time, and the checker must find the stale read that the rule
//! prevents: a model that can't fail proves nothing.

#![allow(missing_docs)]

use stateright::{Checker, Model, Property};

/// The duration of a lease, in ticks.
const LEASE: u8 = 1;
/// The highest version.
const LAST_TICK: u8 = 3;
const LAST_VERSION: u8 = 2;
const FAULTS: u8 = 1;
/// The length of the paths that are explored.
const DEPTH: usize = 17;
const ON_THE_WIRE: usize = 2;

/// The rules. Each can be disabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Without {
    Nothing,
    /// Bodies are invalidated before the commit.
    MarkFirst,
    /// After a takeover, nothing is committed for the duration of a lease.
    TakeoverWait,
    /// If the invalidations fail, the commit waits until the last lease has expired.
    WaitingOut,
    /// A lease counts from a time that was read before the fence was checked.
    TimeBeforeProof,
    /// A lease names the server's run id.
    RunInLease,
    /// The script grants no lease if its server has another run id than the one that the time came
    /// from.
    RunAtGrant,
    /// An older version never replaces a newer one.
    NeverOlder,
    /// A lease is granted only if the cache is complete.
    Level,
    /// Invalidations count only on the server that the valid leases name.
    SameServer,
    /// A lost cache starts again with a new nonce, so that older writes do not fit it.
    NewBeginning,
    /// A projector sends no writes between its invalidations and its commit.
    NoWriteBetween,
    /// Rows that are written before the commit keep the checkpoint locked until then.
    LockedToTheEnd,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Data {
    /// The user's entry: its version, and whether it is a body or an invalidation.
    entry: Option<(u8, bool)>,
    /// The nonce of this cache, and the position up to which it is written.
    next: Option<(u8, u8)>,
    /// The run id that it names, and when it expires.
    lease: Option<(u8, u8)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Server {
    run: u8,
    data: Data,
    snapshot: Option<Data>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Projector {
    epoch: u8,
    /// The version that it has committed.
    version: u8,
    connection: usize,
    /// Time and run id of the last reply, and whether the fence was checked since.
    seen: Option<(u8, u8, bool)>,
    /// Whether invalidations for the next version were sent.
    marking: bool,
    /// The run id of the server that confirmed them.
    marked: Option<u8>,
    /// Whether the rows of the next version are written, in a transaction that is still open. The
    /// fence was checked when they were.
    has_written: bool,
    lease_until: u8,
    /// The run id that its valid leases name.
    leased_run: Option<u8>,
    commit_from: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Message {
    Mark { from: usize, to: usize, version: u8 },
    Begin { to: usize, beginning: u8 },
    Write { to: usize, start: (u8, u8), version: u8, time: u8, run: u8 },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    now: u8,
    version: u8,
    epoch: u8,
    runs: u8,
    beginnings: u8,
    faults: u8,
    servers: [Server; 2],
    projectors: [Projector; 2],
    wire: Vec<Message>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Tick,
    TakeOver(usize),
    Look(usize),
    Prove(usize),
    SendMark(usize),
    WriteAhead(usize),
    Commit(usize),
    SendWrite(usize),
    Deliver(usize),
    Reconnect(usize),
    Flush(usize),
    Save(usize),
    Restore(usize),
}

struct Cache(Without);

impl Cache {
    fn keeps(&self, rule: Without) -> bool {
        self.0 != rule
    }

    fn may_commit(&self, state: &State, p: &Projector) -> bool {
        let taken_over = state.now >= p.commit_from || !self.keeps(Without::TakeoverWait);
        let run_out = state.now >= p.lease_until || !self.keeps(Without::WaitingOut);
        let same = !self.keeps(Without::SameServer);
        let marked = p.marked.is_some_and(|run| same || p.leased_run.is_none_or(|leased| leased == run));
        taken_over && (run_out || marked || !self.keeps(Without::MarkFirst))
    }

    fn commit(state: &mut State, i: usize) {
        let p = &mut state.projectors[i];
        (p.marking, p.marked) = (false, None);
        if p.epoch != state.epoch && !std::mem::take(&mut p.has_written) {
            // The fence: this projector is not the owner any more.
            *p = Projector { connection: p.connection, ..Projector::default() };
            return;
        }
        p.has_written = false;
        state.version += 1;
        p.version = state.version;
        if let Some((_, _, proved)) = &mut p.seen {
            *proved = true;
        }
    }

    fn send_write(&self, state: &mut State, i: usize) {
        let to = state.projectors[i].connection;
        let Some(start) = state.servers[to].data.next else {
            let beginning = if self.keeps(Without::NewBeginning) { state.beginnings + 1 } else { 1 };
            state.beginnings += 1;
            state.wire.push(Message::Begin { to, beginning });
            return;
        };
        let now = state.now;
        let p = &mut state.projectors[i];
        let Some((seen, run, true)) = p.seen.take() else { return };
        let time = if self.keeps(Without::TimeBeforeProof) { seen } else { now };
        p.lease_until = p.lease_until.max(time + LEASE);
        p.leased_run = Some(run);
        state.wire.push(Message::Write { to, start, version: p.version, time, run });
    }

    fn deliver(&self, state: &mut State, message: Message) {
        match message {
            Message::Mark { from, to, version } => {
                let server = &mut state.servers[to];
                self.put(&mut server.data, version, false);
                let (run, p) = (server.run, &mut state.projectors[from]);
                if p.marking && p.version + 1 == version && p.connection == to {
                    p.marked = Some(run);
                }
            }
            Message::Begin { to, beginning } => {
                let next = &mut state.servers[to].data.next;
                *next = next.or(Some((beginning, 0)));
            }
            Message::Write { to, start, version, time, run } => {
                let (now, server) = (state.now, &mut state.servers[to]);
                if server.data.next != Some(start) && self.keeps(Without::Level) {
                    return;
                }
                self.put(&mut server.data, version, true);
                server.data.next = Some((start.0, version));
                let granted = server.run == run || !self.keeps(Without::RunAtGrant);
                if granted && time + LEASE > now {
                    server.data.lease = Some((server.run, time + LEASE));
                }
            }
        }
    }

    fn put(&self, data: &mut Data, version: u8, body: bool) {
        let newer =
            data.entry.is_none_or(|(there, has_body)| version > there || (version == there && !has_body));
        if version > 0 && (newer || !self.keeps(Without::NeverOlder)) {
            data.entry = Some((version, body));
        }
    }

    /// The version that a reader of this server would trust without asking PostgreSQL.
    fn trusted(&self, state: &State, server: &Server) -> Option<u8> {
        let (run, expires) = server.data.lease?;
        let named = run == server.run || !self.keeps(Without::RunInLease);
        let (version, has_body) = server.data.entry?;
        (named && state.now < expires && has_body).then_some(version)
    }
}

impl Model for Cache {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let server = |run| Server { run, data: Data::default(), snapshot: None };
        vec![State {
            now: 0,
            version: 0,
            epoch: 0,
            runs: 2,
            beginnings: 0,
            faults: 0,
            servers: [server(0), server(1)],
            projectors: [Projector::default(); 2],
            wire: Vec::new(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.now < LAST_TICK {
            actions.push(Action::Tick);
        }
        for (i, p) in state.projectors.iter().enumerate() {
            // A takeover waits for the lock.
            let is_locked = state.projectors.iter().any(|p| p.has_written);
            let may_lock = !is_locked || !self.keeps(Without::LockedToTheEnd);
            // The order of the two makes no difference.
            if i == usize::from(state.epoch) && p.epoch == 0 && may_lock {
                actions.push(Action::TakeOver(i));
            }
            if p.epoch == 0 {
                continue;
            }
            if p.seen.is_none() {
                actions.push(Action::Look(i));
            }
            if matches!(p.seen, Some((_, _, false))) {
                actions.push(Action::Prove(i));
            }
            let room = state.beginnings < 3 && state.wire.len() < ON_THE_WIRE;
            if room && !p.marking && p.version < LAST_VERSION {
                actions.push(Action::SendMark(i));
            }
            if p.version < LAST_VERSION && p.epoch == state.epoch && !p.has_written {
                actions.push(Action::WriteAhead(i));
            }
            if p.version < LAST_VERSION && self.may_commit(state, p) {
                actions.push(Action::Commit(i));
            }
            // Leases that name another run must expire before one with this run is granted.
            let run = state.servers[p.connection].run;
            let alone = p.leased_run.is_none_or(|leased| leased == run) || state.now >= p.lease_until;
            let between = p.marking && self.keeps(Without::NoWriteBetween);
            if room
                && !between
                && matches!(p.seen, Some((_, _, true)))
                && (alone || !self.keeps(Without::SameServer))
            {
                actions.push(Action::SendWrite(i));
            }
            if state.faults < FAULTS {
                actions.push(Action::Reconnect(i));
            }
        }
        for i in 0..state.wire.len() {
            // A message that is never delivered is a lost one.
            actions.push(Action::Deliver(i));
        }
        for (i, server) in state.servers.iter().enumerate().take(1).filter(|_| state.faults < FAULTS) {
            actions.push(Action::Flush(i));
            if server.snapshot.is_none() && server.data != Data::default() {
                actions.push(Action::Save(i));
            }
            if server.snapshot.is_some() {
                actions.push(Action::Restore(i));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Tick => state.now += 1,
            Action::TakeOver(i) => {
                state.epoch += 1;
                let p = &mut state.projectors[i];
                (p.epoch, p.version) = (state.epoch, state.version);
                p.commit_from = state.now + LEASE;
            }
            Action::Look(i) => {
                let p = &mut state.projectors[i];
                p.seen = Some((state.now, state.servers[p.connection].run, false));
            }
            Action::Prove(i) => {
                let p = &mut state.projectors[i];
                p.seen = p.seen.map(|(time, run, _)| (time, run, p.epoch == state.epoch));
            }
            Action::SendMark(i) => {
                let p = &mut state.projectors[i];
                p.marking = true;
                state.wire.push(Message::Mark { from: i, to: p.connection, version: p.version + 1 });
            }
            Action::WriteAhead(i) => state.projectors[i].has_written = true,
            Action::Commit(i) => Self::commit(&mut state, i),
            Action::SendWrite(i) => self.send_write(&mut state, i),
            Action::Deliver(i) => {
                let message = state.wire.remove(i);
                self.deliver(&mut state, message);
            }
            Action::Reconnect(i) => {
                state.faults += 1;
                let p = &mut state.projectors[i];
                (p.connection, p.marking, p.marked, p.seen) = (1 - p.connection, false, None, None);
            }
            Action::Flush(i) => {
                state.faults += 1;
                state.servers[i].data = Data::default();
            }
            Action::Save(i) => state.servers[i].snapshot = Some(state.servers[i].data.clone()),
            Action::Restore(i) => {
                state.faults += 1;
                let run = state.runs;
                state.runs += 1;
                let server = &mut state.servers[i];
                server.run = run;
                server.data = server.snapshot.take()?;
            }
        }
        state.wire.sort_unstable();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("a trusted body is what Postgres shows", |model: &Cache, state: &State| {
                let trusted = state.servers.iter().filter_map(|server| model.trusted(state, server));
                trusted.into_iter().all(|version| version == state.version)
            }),
            Property::sometimes("the cache is of use", |model: &Cache, state: &State| {
                state.version > 0 && model.trusted(state, &state.servers[0]) == Some(state.version)
            }),
        ]
    }
}

#[test]
fn no_stale_read_with_all_rules() {
    let checker = Cache(Without::Nothing).checker().target_max_depth(DEPTH).spawn_bfs().join();
    checker.assert_properties();
}

/// Stops at the first stale read.
fn stale_read_without(rule: Without) {
    let checker = Cache(rule).checker().target_max_depth(DEPTH).spawn_bfs().join();
    assert!(
        checker.discovery("a trusted body is what Postgres shows").is_some(),
        "{rule:?} is not needed by the model"
    );
}

macro_rules! each_rule_is_needed {
    ($($name:ident: $rule:ident),* $(,)?) => { $( #[test] fn $name() { stale_read_without(Without::$rule); } )* };
}

each_rule_is_needed! {
    mark_first_is_needed: MarkFirst,
    takeover_wait_is_needed: TakeoverWait,
    waiting_out_is_needed: WaitingOut,
    time_before_proof_is_needed: TimeBeforeProof,
    run_in_lease_is_needed: RunInLease,
    run_at_grant_is_needed: RunAtGrant,
    never_older_is_needed: NeverOlder,
    level_is_needed: Level,
    same_server_is_needed: SameServer,
    new_beginning_is_needed: NewBeginning,
    no_write_between_is_needed: NoWriteBetween,
    locked_to_the_end_is_needed: LockedToTheEnd,
}
