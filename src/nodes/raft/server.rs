//! Raft, as in the paper: "In Search of an Understandable Consensus Algorithm" (Ongaro and Ousterhout, extended version).
//! Names and rules are those of its figure 2, in its order, and in one file, so that the two can be laid side by side;
//! what is not in it is from Ongaro's dissertation.
//!
//! A server knows no network, disk or clock. It is told what happens and when, and says what is to be done:
//! [`Output`]. What it says leaves only when what it wrote down with it is on disk, so a vote is durable before it is
//! given, and an entry before it is acknowledged.
//!
//! Beyond figure 2 there are: a vote before the vote, which changes nothing, lest a server that was cut off deposes a
//! good leader with its high term (dissertation §9.6); leaders that hear no majority step down (§6.2); reads that take
//! no entry, but wait for a round of heartbeats that began after they came (§6.4); snapshots (paper §7).

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use fastrand::Rng;

use super::log::{Entry, Index, Log, Term};
use super::messages::{Client, Message, Output, Record};
use super::registers::{Answer, Command, Registers};
use crate::json::value::OwnedValue;
use crate::store::BadRecord;
use crate::time::{Duration, Instant};
use crate::wire::error::{ErrorCode, RpcError};

/// Maximum requests of clients that a leader works on; beyond it they are refused.
const PENDING_MAX: usize = 10_000;

/// Maximum entries in a message.
const BATCH_MAX: usize = 500;

/// One server of a cluster.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) id: String,
    peers: Vec<String>,
    timing: Timing,
    rng: Rng,
    now: Instant,
    output: Vec<Output>,
    // Persistent state on all servers.
    pub(super) current_term: Term,
    pub(super) voted_for: Option<String>,
    pub(super) log: Log,
    // Volatile state on all servers.
    commit_index: Index,
    last_applied: Index,
    /// The state machine, after all entries up to `last_applied`.
    pub(super) registers: Registers,
    pub(super) role: Role,
    /// When to stand for election, unless a leader is heard of.
    election_at: Instant,
    /// When a leader was heard of last.
    heard_at: Option<Instant>,
}

/// How long things take.
#[derive(Clone, Copy, Debug)]
struct Timing {
    heartbeat: Duration,
    /// The shortest; each election has another one, up to twice as long.
    election_timeout: Duration,
}

#[derive(Debug)]
pub(super) enum Role {
    Follower { leader: Option<String> },
    PreCandidate { votes: BTreeSet<String> },
    Candidate { votes: BTreeSet<String> },
    Leader(Leader),
}

/// Volatile state on leaders, which begins anew with each election.
#[derive(Debug)]
pub(super) struct Leader {
    pub(super) followers: BTreeMap<String, Follower>,
    /// The index of the entry with which it began. When that is committed, all is known that was before.
    pub(super) first: Index,
    /// Counts the rounds of `AppendEntries`.
    round: u64,
    /// A round is about to begin.
    is_scheduled: bool,
    next_heartbeat: Instant,
    /// The clients whose entries are not committed yet.
    writes: BTreeMap<Index, Client>,
    reads: Vec<Read>,
    /// The latest request of each client. It asks one after the other, so what is not later came twice.
    latest: BTreeMap<String, u64>,
}

#[derive(Debug)]
pub(super) struct Follower {
    pub(super) next_index: Index,
    pub(super) match_index: Index,
    /// The latest round that it has answered.
    round: u64,
    heard_at: Instant,
}

#[derive(Debug)]
struct Read {
    client: Client,
    key: OwnedValue,
    /// Entries up to this are in what it reads.
    index: Index,
    /// The first round that proves that the leader was one when the read came.
    round: u64,
}

impl Server {
    /// A server whose clients wait this long: heartbeats and elections are as much faster.
    pub(super) fn new(answer_within: Duration) -> Self {
        let part = |parts: u64| Duration::from_micros((answer_within.as_micros() / parts).max(1_000));
        Self {
            id: String::new(),
            peers: Vec::new(),
            timing: Timing { heartbeat: part(20), election_timeout: part(4) },
            rng: Rng::with_seed(0),
            now: Instant::START,
            output: Vec::new(),
            current_term: 0,
            voted_for: None,
            log: Log::default(),
            commit_index: 0,
            last_applied: 0,
            registers: Registers::default(),
            role: Role::Follower { leader: None },
            election_at: Instant::END,
            heard_at: None,
        }
    }

    /// Takes back what was persisted: each record, the oldest first.
    ///
    /// # Errors
    /// If it is no record.
    pub(super) fn recover(&mut self, record: &[u8]) -> Result<(), BadRecord> {
        match Record::from_bytes(record)? {
            Record::Vote { term, voted_for } => (self.current_term, self.voted_for) = (term, voted_for),
            Record::Entries { after, entries } => self.log.replace_after(after, entries),
            Record::Snapshot { term, voted_for, log, registers } => {
                (self.current_term, self.voted_for) = (term, voted_for);
                self.commit_index = log.snapshot_index();
                self.last_applied = log.snapshot_index();
                (self.log, self.registers) = (log, registers);
            }
        }
        Ok(())
    }

    /// Begins as one of a cluster.
    pub(super) fn start(&mut self, id: String, peers: Vec<String>, seed: u64) {
        (self.id, self.peers, self.rng) = (id, peers, Rng::with_seed(seed));
        self.reset_election_timer();
    }

    /// It is later.
    pub(super) fn pass(&mut self, now: Instant) {
        self.now = now;
    }

    /// How often to call [`tick`](Self::tick).
    pub(super) const fn tick_interval(&self) -> Duration {
        Duration::from_micros(self.timing.heartbeat.as_micros() / 4)
    }

    /// The leader, as far as this server knows.
    pub(super) fn leader(&self) -> Option<&str> {
        match &self.role {
            Role::Leader(_) => Some(&self.id),
            Role::Follower { leader } => leader.as_deref(),
            Role::PreCandidate { .. } | Role::Candidate { .. } => None,
        }
    }

    /// What is to be done since this was last asked.
    pub(super) fn take_output(&mut self) -> Vec<Output> {
        mem::take(&mut self.output)
    }

    fn send(&mut self, to: &str, message: Message) {
        self.output.push(Output::Send { to: to.to_owned(), message });
    }

    fn answer(&mut self, client: Client, result: Result<Answer, RpcError>) {
        self.output.push(Output::Answer(client, result));
    }

    /// How many servers are more than half of all.
    pub(super) fn majority(&self) -> usize {
        self.peers.len().div_ceil(2) + 1
    }
}

/// Rules for all servers.
impl Server {
    /// Handles what another server says.
    pub(super) fn handle_message(&mut self, src: &str, message: Message) {
        match message {
            Message::RequestVote { term, last_log_index, last_log_term, is_pre } => {
                self.handle_request_vote(src, term, (last_log_term, last_log_index), is_pre);
            }
            Message::Vote { term, is_granted, is_pre } => self.handle_vote(src, term, is_granted, is_pre),
            Message::AppendEntries { term, prev_log_index, prev_log_term, entries, leader_commit, round } => {
                let result = if self.follow(src, term) {
                    self.append_entries(prev_log_index, prev_log_term, entries, leader_commit)
                } else {
                    Err(0)
                };
                self.send_append_result(src, result, round);
            }
            Message::InstallSnapshot { term, last_included_index, last_included_term, registers, round } => {
                let result = if self.follow(src, term) {
                    self.install_snapshot(last_included_index, last_included_term, registers);
                    Ok(last_included_index)
                } else {
                    Err(0)
                };
                self.send_append_result(src, result, round);
            }
            Message::AppendResult { term, is_refused, match_index, round } => {
                self.handle_append_result(src, term, is_refused, match_index, round);
            }
            Message::Forward { .. } => {}
        }
    }

    /// If `RequestVote`, `AppendEntries` or an answer has a term T > currentTerm: set currentTerm = T, convert to follower
    /// (§5.1).
    fn see_term(&mut self, term: Term) {
        if term > self.current_term {
            self.current_term = term;
            self.voted_for = None;
            self.persist_vote();
            self.become_follower(None);
        }
    }

    fn persist_vote(&mut self) {
        let record = Record::Vote { term: self.current_term, voted_for: self.voted_for.clone() };
        self.output.push(Output::Persist(record));
    }

    /// Replaces what follows the entry at `after` in the log, and writes that down.
    pub(super) fn append_after(&mut self, after: Index, entries: Vec<Entry>) {
        self.output.push(Output::Persist(Record::Entries { after, entries: entries.clone() }));
        self.log.replace_after(after, entries);
    }

    /// If commitIndex > lastApplied: increment lastApplied, apply log[lastApplied] to the state machine (§5.3). The clients
    /// that wait for it are answered.
    pub(super) fn commit(&mut self, index: Index) {
        self.commit_index = self.commit_index.max(index);
        while self.last_applied < self.commit_index {
            let Some(entry) = self.log.entry(self.last_applied + 1) else { return };
            self.last_applied += 1;
            let result = entry
                .command
                .as_ref()
                .and_then(|command| self.registers.apply(&entry.client, entry.msg_id, command));
            let Role::Leader(leader) = &mut self.role else { continue };
            if let (Some(client), Some(result)) = (leader.writes.remove(&self.last_applied), result) {
                self.answer(client, result);
            }
        }
    }

    /// Lets a snapshot stand for all that was applied (§7).
    pub(super) fn compact(&mut self) {
        self.log.compact(self.last_applied);
        self.persist_snapshot();
    }

    fn persist_snapshot(&mut self) {
        let (term, voted_for) = (self.current_term, self.voted_for.clone());
        let (log, registers) = (self.log.clone(), self.registers.clone());
        self.output.push(Output::Snapshot(Record::Snapshot { term, voted_for, log, registers }));
    }

    /// Does what is due.
    pub(super) fn tick(&mut self) {
        if !matches!(self.role, Role::Leader(_)) {
            if self.election_at <= self.now {
                self.stand_for_election();
            }
            return;
        }
        let (now, majority) = (self.now, self.majority());
        let Role::Leader(leader) = &mut self.role else { return };
        leader.writes.retain(|_, client| now <= client.until);
        leader.reads.retain(|read| now <= read.client.until);
        let timeout = Duration::from_micros(2 * self.timing.election_timeout.as_micros());
        let heard = leader.followers.values().filter(|follower| now - follower.heard_at <= timeout);
        if heard.count() + 1 < majority {
            // It cannot commit, and who can reach another leader does better without it.
            self.become_follower(None);
        } else if leader.next_heartbeat <= now {
            self.broadcast();
        }
    }
}

/// Followers (§5.2, §5.3): respond to RPCs from candidates and leaders.
impl Server {
    fn become_follower(&mut self, leader: Option<String>) {
        let role = mem::replace(&mut self.role, Role::Follower { leader });
        let Role::Leader(deposed) = role else { return };
        // Nobody knows what becomes of these entries.
        let doubt =
            RpcError::new(ErrorCode::TIMEOUT, "this leader was deposed before the request was committed");
        for client in deposed.writes.into_values() {
            self.answer(client, Err(doubt.clone()));
        }
        for Read { client, .. } in deposed.reads {
            self.answer(client, Err(RpcError::temporarily_unavailable("this leader was deposed")));
        }
        self.reset_election_timer();
    }

    /// If the election timeout elapses without an RPC from a current leader or a vote granted: stand for election.
    fn reset_election_timer(&mut self) {
        let timeout = self.timing.election_timeout.as_micros();
        self.election_at = self.now + Duration::from_micros(timeout + self.rng.u64(0..=timeout));
    }

    /// A leader of this term speaks. `false` if it is of an earlier one: reply false if term < currentTerm.
    fn follow(&mut self, leader: &str, term: Term) -> bool {
        self.see_term(term);
        if term < self.current_term {
            return false;
        }
        if self.leader() != Some(leader) {
            self.become_follower(Some(leader.to_owned()));
        }
        self.heard_at = Some(self.now);
        self.reset_election_timer();
        true
    }

    /// Appends what the leader sent; what both agree about then, or at best could.
    fn append_entries(
        &mut self,
        prev_log_index: Index,
        prev_log_term: Term,
        mut entries: Vec<Entry>,
        leader_commit: Index,
    ) -> Result<Index, Index> {
        let last_new = prev_log_index + entries.len() as Index;
        let mut prev = prev_log_index;
        if prev < self.log.snapshot_index() {
            // What is in the snapshot is committed, and the same everywhere.
            let known = (self.log.snapshot_index() - prev).min(entries.len() as Index);
            entries.drain(..usize::try_from(known).unwrap_or(usize::MAX));
            prev += known;
            if prev < self.log.snapshot_index() {
                return Ok(last_new);
            }
        } else if self.log.term(prev) != Some(prev_log_term) {
            // Reply false if the log has no entry at prevLogIndex whose term is prevLogTerm. Committed entries agree with
            // every leader's.
            return Err(self.log.last_index().min(prev.saturating_sub(1)).max(self.commit_index));
        }
        // If an existing entry conflicts with a new one, delete it and all that follow it. Only then: the message may be an
        // old one.
        let agrees = |(index, entry): &(Index, &Entry)| self.log.term(*index) == Some(entry.term);
        let known = (prev + 1..).zip(&entries).take_while(agrees).count();
        let news = entries.split_off(known);
        if !news.is_empty() {
            self.append_after(prev + known as Index, news);
        }
        // If leaderCommit > commitIndex: set commitIndex = min(leaderCommit, index of last new entry).
        self.commit(leader_commit.min(last_new));
        Ok(last_new)
    }

    /// Takes the leader's snapshot in place of all before it (§7).
    fn install_snapshot(&mut self, index: Index, term: Term, registers: Registers) {
        if index <= self.commit_index {
            return;
        }
        self.log.start_from(index, term);
        self.registers = registers;
        self.commit_index = index;
        self.last_applied = index;
        self.persist_snapshot();
    }

    fn send_append_result(&mut self, leader: &str, result: Result<Index, Index>, round: u64) {
        let (is_refused, match_index) = (result.is_err(), result.unwrap_or_else(|hint| hint));
        self.send(leader, Message::AppendResult { term: self.current_term, is_refused, match_index, round });
    }

    fn handle_request_vote(&mut self, candidate: &str, term: Term, last_log: (Term, Index), is_pre: bool) {
        if !is_pre {
            self.see_term(term);
        }
        // The later last term wins, and of two logs with the same the longer one (§5.4.1).
        let is_up_to_date = last_log >= (self.log.last_term(), self.log.last_index());
        let is_granted = if is_pre {
            let hears_leader = matches!(self.role, Role::Leader(_))
                || self.heard_at.is_some_and(|heard_at| self.now - heard_at < self.timing.election_timeout);
            term > self.current_term && is_up_to_date && !hears_leader
        } else {
            // If votedFor is null or candidateId, and the candidate's log is up to date, grant the vote.
            let may_vote = self.voted_for.as_deref().is_none_or(|voted_for| voted_for == candidate);
            term == self.current_term && is_up_to_date && may_vote
        };
        if is_granted && !is_pre {
            self.voted_for = Some(candidate.to_owned());
            self.persist_vote();
            self.reset_election_timer();
        }
        let term = if is_pre && is_granted { term } else { self.current_term };
        self.send(candidate, Message::Vote { term, is_granted, is_pre });
    }
}

/// Candidates (§5.2).
impl Server {
    /// Asks the others whether they would vote for this server, before anything changes.
    fn stand_for_election(&mut self) {
        self.reset_election_timer();
        self.role = Role::PreCandidate { votes: BTreeSet::new() };
        self.request_votes(self.current_term + 1, true);
    }

    /// On conversion to candidate: increment currentTerm, vote for self, reset the election timer, send `RequestVote`.
    fn start_election(&mut self) {
        self.current_term += 1;
        self.voted_for = Some(self.id.clone());
        self.persist_vote();
        self.reset_election_timer();
        self.role = Role::Candidate { votes: BTreeSet::new() };
        self.request_votes(self.current_term, false);
    }

    fn request_votes(&mut self, term: Term, is_pre: bool) {
        let (last_log_index, last_log_term) = (self.log.last_index(), self.log.last_term());
        for peer in self.peers.clone() {
            self.send(&peer, Message::RequestVote { term, last_log_index, last_log_term, is_pre });
        }
        self.count_vote(self.id.clone());
    }

    fn handle_vote(&mut self, voter: &str, term: Term, is_granted: bool, is_pre: bool) {
        if is_pre && is_granted {
            if matches!(self.role, Role::PreCandidate { .. }) && term == self.current_term + 1 {
                self.count_vote(voter.to_owned());
            }
            return;
        }
        self.see_term(term);
        if is_granted && term == self.current_term && matches!(self.role, Role::Candidate { .. }) {
            self.count_vote(voter.to_owned());
        }
    }

    /// If votes are received from a majority of servers: become leader.
    fn count_vote(&mut self, voter: String) {
        let (Role::PreCandidate { votes } | Role::Candidate { votes }) = &mut self.role else { return };
        votes.insert(voter);
        if votes.len() < self.majority() {
            return;
        }
        match self.role {
            Role::PreCandidate { .. } => self.start_election(),
            _ => self.become_leader(),
        }
    }
}

/// Leaders (§5.3, §5.4).
impl Server {
    /// Upon election: an entry of its own term, so that all before it can be committed (§8); and heartbeats.
    fn become_leader(&mut self) {
        let last = self.log.last_index();
        let follower = || Follower { next_index: last + 1, match_index: 0, round: 0, heard_at: self.now };
        self.role = Role::Leader(Leader {
            followers: self.peers.iter().map(|peer| (peer.clone(), follower())).collect(),
            first: last + 1,
            round: 0,
            is_scheduled: false,
            next_heartbeat: self.now,
            writes: BTreeMap::new(),
            reads: Vec::new(),
            latest: BTreeMap::new(),
        });
        self.append_after(last, vec![Entry::no_op(self.current_term)]);
        self.advance_commit_index();
        self.broadcast();
    }

    /// If a command is received from a client: append an entry to the log, respond after it is applied. A read takes no
    /// entry. Refuses only what it surely did not append.
    pub(super) fn propose(&mut self, client: Client, command: Command) -> Result<(), RpcError> {
        let Role::Leader(leader) = &mut self.role else {
            return Err(RpcError::temporarily_unavailable("this server does not lead"));
        };
        if leader.writes.len() + leader.reads.len() >= PENDING_MAX {
            let text = format!("{PENDING_MAX} requests wait, which is the limit");
            return Err(RpcError::temporarily_unavailable(text));
        }
        if leader.latest.len() > PENDING_MAX {
            leader.latest.clear();
        }
        match leader.latest.get_mut(&client.id) {
            Some(latest) if *latest >= client.msg_id => return Ok(()),
            Some(latest) => *latest = client.msg_id,
            None => drop(leader.latest.insert(client.id.clone(), client.msg_id)),
        }
        if let Command::Read { key } = command {
            let index = self.commit_index.max(leader.first);
            leader.reads.push(Read { client, key, index, round: leader.round + 1 });
        } else if self.registers.has_applied(&client.id, client.msg_id) {
            // One that came twice changes nothing when it is applied; to know it earlier is cheaper.
            return Ok(());
        } else {
            let (term, id, msg_id) = (self.current_term, client.id.clone(), client.msg_id);
            let last = self.log.last_index();
            leader.writes.insert(last + 1, client);
            self.append_after(last, vec![Entry { term, client: id, msg_id, command: Some(command) }]);
        }
        self.schedule_broadcast();
        self.advance_commit_index();
        Ok(())
    }

    fn schedule_broadcast(&mut self) {
        if let Role::Leader(leader) = &mut self.role
            && !mem::replace(&mut leader.is_scheduled, true)
        {
            self.output.push(Output::Broadcast);
        }
    }

    /// If last log index ≥ nextIndex for a follower: send `AppendEntries` with the entries from nextIndex on. To the others,
    /// empty ones: heartbeats.
    pub(super) fn broadcast(&mut self) {
        let Role::Leader(leader) = &mut self.role else { return };
        leader.round += 1;
        leader.is_scheduled = false;
        leader.next_heartbeat = self.now + self.timing.heartbeat;
        let (term, round, leader_commit) = (self.current_term, leader.round, self.commit_index);
        for (peer, follower) in &mut leader.followers {
            let prev_log_index = follower.next_index - 1;
            let message = if let Some(prev_log_term) = self.log.term(prev_log_index) {
                let entries = self.log.entries_after(prev_log_index, BATCH_MAX).to_vec();
                // Sent is as good as arrived, until the follower says otherwise.
                follower.next_index += entries.len() as Index;
                Message::AppendEntries { term, prev_log_index, prev_log_term, entries, leader_commit, round }
            } else {
                let last_included_index = self.last_applied;
                follower.next_index = last_included_index + 1;
                let last_included_term = self.log.term(last_included_index).unwrap_or_default();
                let registers = self.registers.clone();
                Message::InstallSnapshot { term, last_included_index, last_included_term, registers, round }
            };
            self.output.push(Output::Send { to: peer.clone(), message });
        }
        self.serve_reads();
    }

    /// If successful: update nextIndex and matchIndex for the follower. If `AppendEntries` fails because of log
    /// inconsistency: decrement nextIndex, and retry.
    fn handle_append_result(
        &mut self,
        src: &str,
        term: Term,
        is_refused: bool,
        match_index: Index,
        round: u64,
    ) {
        self.see_term(term);
        let last_index = self.log.last_index();
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(follower) = leader.followers.get_mut(src).filter(|_| term == self.current_term) else {
            return;
        };
        follower.heard_at = self.now;
        follower.round = follower.round.max(round);
        if is_refused {
            // It lacks something, or this is an old message: what it was known to have it has.
            follower.next_index = follower.next_index.min(match_index + 1).max(follower.match_index + 1);
        } else {
            follower.match_index = follower.match_index.max(match_index.min(last_index));
            follower.next_index = follower.next_index.max(follower.match_index + 1);
        }
        if is_refused || follower.next_index <= last_index {
            self.schedule_broadcast();
        }
        self.advance_commit_index();
        self.serve_reads();
    }

    /// If there is an N > commitIndex such that a majority of matchIndex[i] ≥ N, and log[N].term == currentTerm: set
    /// commitIndex = N (§5.4).
    fn advance_commit_index(&mut self) {
        let Role::Leader(leader) = &self.role else { return };
        let index = leader.match_indexes(self.log.last_index())[self.majority() - 1];
        if self.log.term(index) == Some(self.current_term) {
            self.commit(index);
        }
    }

    /// Answers the reads that came before a round that a majority has answered.
    fn serve_reads(&mut self) {
        let majority = self.majority();
        let Role::Leader(leader) = &mut self.role else { return };
        let mut rounds: Vec<u64> = leader.followers.values().map(|follower| follower.round).collect();
        // This server itself has answered all.
        rounds.push(leader.round);
        rounds.sort_unstable_by(|a, b| b.cmp(a));
        let (proven, last_applied) = (rounds[majority - 1], self.last_applied);
        let may_be_served = |read: &Read| read.round <= proven && read.index <= last_applied;
        let (served, waiting) = mem::take(&mut leader.reads).into_iter().partition(may_be_served);
        leader.reads = waiting;
        for Read { client, key, .. } in served {
            let result = self.registers.read(&key);
            self.answer(client, result);
        }
    }
}

impl Leader {
    /// Up to where the log of each server is known to be as this leader's, the furthest first.
    pub(super) fn match_indexes(&self, last_index: Index) -> Vec<Index> {
        let followers = self.followers.values().map(|follower| follower.match_index);
        let mut indexes: Vec<Index> = followers.chain([last_index]).collect();
        indexes.sort_unstable_by(|a, b| b.cmp(a));
        indexes
    }
}
