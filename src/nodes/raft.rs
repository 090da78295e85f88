//! `lin-kv` by Raft: registers that a majority of the nodes keeps together.
//!
//! This reads beside the paper, "In Search of an Understandable Consensus Algorithm" (Ongaro and Ousterhout, extended
//! version): names and rules are those of its figure 2, and what is not in it is from Ongaro's dissertation.
//!
//! | message | from | what for |
//! | --- | --- | --- |
//! | `request_vote`, `vote` | candidates | elections (§5.2, §5.4.1), and before them a vote that changes nothing (dissertation §9.6), lest a node that was cut off deposes a good leader with its high term |
//! | `append_entries`, `append_result` | the leader | its log, a heartbeat, and a proof that it still leads (§5.3) |
//! | `install_snapshot` | the leader | what its log does not have any more (§7) |
//! | `forward` | followers | a client's request, once. It is never repeated: nobody could say whether the first one was appended. The leader answers the client |
//!
//! A turn's records become durable before anything leaves that was said in it ([`Context::persist`]), so a vote is on
//! disk before it is given, and an entry before it is acknowledged.
//!
//! A read waits for a round of heartbeats that began after it came (`ReadIndex`, dissertation §6.4); all reads that wait
//! share it. A request may come twice, and more than one leader may append it: what was applied of each client is part
//! of the state, so that the second one changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use super::raft_log::{Answer, Entry, Index, Log, Message, Operation, Record, Registers, Term};
use crate::json::value::{Integer, OwnedValue};
use crate::node::{Context, Handler, Request};
use crate::store::BadRecord;
use crate::time::{Duration, Instant};
use crate::wire::error::{ErrorCode, RpcError};

/// What came within this time is replicated by one message.
const BATCH: Duration = Duration::from_millis(2);

/// Maximum requests of clients that a leader works on; beyond it they are refused.
const PENDING_MAX: usize = 10_000;

/// A log with more entries than this becomes a snapshot.
const ENTRIES_MAX: usize = 1_000;

/// Maximum entries in a message.
const BATCH_MAX: usize = 500;

/// A node of a cluster that keeps `lin-kv`'s registers.
#[derive(Debug)]
pub struct Raft {
    timing: Timing,
    bug: Option<Bug>,
    // Persistent state.
    current_term: Term,
    voted_for: Option<String>,
    log: Log,
    // Volatile state.
    commit_index: Index,
    /// The state machine, after all entries up to `last_applied`.
    registers: Registers,
    last_applied: Index,
    role: Role,
    /// When to stand for election, unless a leader is heard of.
    election_at: Instant,
    /// When a leader was heard of last.
    heard_at: Option<Instant>,
}

/// How long things take: all of it from how long a client waits.
#[derive(Clone, Copy, Debug)]
struct Timing {
    heartbeat: Duration,
    /// The shortest; each election has another one, up to twice as long.
    election_timeout: Duration,
    answer_within: Duration,
}

#[derive(Debug)]
enum Role {
    Follower { leader: Option<String> },
    PreCandidate { votes: BTreeSet<String> },
    Candidate { votes: BTreeSet<String> },
    Leader(Leader),
}

/// What a leader knows, which it begins anew with each election.
#[derive(Debug)]
struct Leader {
    followers: BTreeMap<String, Follower>,
    /// The index of the entry with which it began. When that is committed, all is known that was before.
    first: Index,
    /// Counts the rounds of `append_entries`.
    round: u64,
    /// A round is about to begin.
    is_scheduled: bool,
    next_heartbeat: Instant,
    /// The clients whose entries are not committed yet.
    writes: BTreeMap<Index, Client>,
    reads: Vec<Read>,
    /// The latest request of each client. It asks one after the other, so what is not later came twice.
    latest: BTreeMap<String, u64>,
    /// Results by index, for a bug that counts those.
    results: BTreeMap<Index, usize>,
}

#[derive(Debug)]
struct Follower {
    next_index: Index,
    match_index: Index,
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

/// Who waits for an answer, and until when.
#[derive(Clone, Debug)]
struct Client {
    id: String,
    msg_id: u64,
    until: Instant,
}

/// A mistake to be found by tests.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// It votes for whoever asks, as often as asked.
    VotesTwice,
    /// After a restart it does not know whom it voted for.
    ForgetsItsVote,
    /// It commits entries of earlier terms by counting, and begins a term without one of its own (§5.4.2, figure 8).
    CommitsOldTerms,
    /// It votes for a log that is shorter than its own.
    LetsShorterLogsWin,
    /// It answers reads without asking whether it still leads.
    ReadsWhenDeposed,
    /// It cuts its log at whatever comes, so that a delayed message undoes what a later one appended.
    TruncatesWhatAgrees,
    /// It counts results, not followers.
    CountsAFollowerTwice,
}

impl Raft {
    /// A node that answers within this time, or not at all: heartbeats and elections are as much faster.
    pub fn new(answer_within: Duration) -> Self {
        let part = |parts: u64| Duration::from_micros((answer_within.as_micros() / parts).max(1_000));
        let timing = Timing { heartbeat: part(20), election_timeout: part(4), answer_within };
        Self {
            timing,
            bug: None,
            current_term: 0,
            voted_for: None,
            log: Log::default(),
            commit_index: 0,
            registers: Registers::default(),
            last_applied: 0,
            role: Role::Follower { leader: None },
            election_at: Instant::END,
            heard_at: None,
        }
    }

    /// A node with a mistake.
    #[doc(hidden)]
    #[must_use]
    pub fn with_bug(self, bug: Bug) -> Self {
        Self { bug: Some(bug), ..self }
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }
}

impl Handler for Raft {
    fn on_init(&mut self, cx: &mut Context<'_, Self>) {
        self.reset_election_timer(cx);
        cx.every(Duration::from_micros(self.timing.heartbeat.as_micros() / 4), Self::tick);
    }

    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        if cx.cluster().peers().any(|peer| peer == request.src()) {
            return self.handle_message(request.src(), request.parse()?, cx);
        }
        let operation: Operation = request.parse()?;
        let msg_id = request.msg_id.and_then(Integer::as_u64);
        let msg_id = msg_id.ok_or_else(|| RpcError::malformed("msg_id: expected an integer of 64 bits"))?;
        let leader = match &self.role {
            Role::Leader(_) => None,
            Role::Follower { leader: Some(leader) } => Some(leader.clone()),
            _ => return Err(RpcError::temporarily_unavailable("no leader is known")),
        };
        let client = request.src().to_owned();
        match leader {
            None => self.lead(client, msg_id, self.timing.answer_within, operation, cx),
            Some(leader) => {
                cx.message_with(&leader, &Message::Forward { client, client_msg_id: msg_id, operation })
            }
        }
    }

    fn recover(&mut self, record: &[u8]) -> Result<(), BadRecord> {
        match Record::from_bytes(record)? {
            Record::Vote { term, voted_for } => {
                self.current_term = term;
                self.voted_for = voted_for.filter(|_| !self.has(Bug::ForgetsItsVote));
            }
            Record::Entries { after, entries } => self.log.replace_after(after, entries),
            Record::Snapshot { term, voted_for, log, registers } => {
                self.current_term = term;
                self.voted_for = voted_for.filter(|_| !self.has(Bug::ForgetsItsVote));
                self.commit_index = log.snapshot_index();
                self.last_applied = log.snapshot_index();
                (self.log, self.registers) = (log, registers);
            }
        }
        Ok(())
    }
}

/// Rules for all servers.
impl Raft {
    fn handle_message(
        &mut self,
        src: &str,
        message: Message,
        cx: &mut Context<'_, Self>,
    ) -> Result<(), RpcError> {
        match message {
            Message::RequestVote { term, last_log_index, last_log_term, is_pre } => {
                self.handle_request_vote(src, term, (last_log_term, last_log_index), is_pre, cx)
            }
            Message::Vote { term, is_granted, is_pre } => {
                self.handle_vote(src, term, is_granted, is_pre, cx);
                Ok(())
            }
            Message::AppendEntries { term, prev_log_index, prev_log_term, entries, leader_commit, round } => {
                let result = if self.follow(src, term, cx) {
                    self.append(prev_log_index, prev_log_term, entries, leader_commit, cx)
                } else {
                    Err(0)
                };
                self.send_result(src, result, round, cx)
            }
            Message::InstallSnapshot { term, last_included_index, last_included_term, registers, round } => {
                let result = if self.follow(src, term, cx) {
                    self.install(last_included_index, last_included_term, registers, cx);
                    Ok(last_included_index)
                } else {
                    Err(0)
                };
                self.send_result(src, result, round, cx)
            }
            Message::AppendResult { term, is_refused, match_index, round } => {
                self.handle_append_result(src, term, is_refused, match_index, round, cx);
                Ok(())
            }
            Message::Forward { client, client_msg_id, operation } => {
                // It was under way for a while.
                let within = Duration::from_micros(self.timing.answer_within.as_micros() / 10 * 9);
                let refusal = match self.role {
                    Role::Leader(_) => self.lead(client.clone(), client_msg_id, within, operation, cx).err(),
                    // It was not appended, and is not handed on once more.
                    _ => Some(RpcError::temporarily_unavailable("this node leads no more")),
                };
                refusal.map_or(Ok(()), |error| refuse(&client, client_msg_id, &error, cx))
            }
        }
    }

    /// If a message has a higher term than this node, it takes that on, as a follower of nobody yet.
    fn see_term(&mut self, term: Term, cx: &mut Context<'_, Self>) {
        if term > self.current_term {
            self.current_term = term;
            self.voted_for = None;
            self.persist_vote(cx);
            self.become_follower(None, cx);
        }
    }

    fn persist_vote(&self, cx: &mut Context<'_, Self>) {
        let (term, voted_for) = (self.current_term, self.voted_for.clone());
        cx.persist(&Record::Vote { term, voted_for }.to_bytes());
    }

    /// Replaces what follows the entry at `after` in the log, and writes that down.
    fn append_after(&mut self, after: Index, entries: Vec<Entry>, cx: &mut Context<'_, Self>) {
        cx.persist(&Record::Entries { after, entries: entries.clone() }.to_bytes());
        self.log.replace_after(after, entries);
    }

    fn become_follower(&mut self, leader: Option<String>, cx: &mut Context<'_, Self>) {
        let role = mem::replace(&mut self.role, Role::Follower { leader });
        let Role::Leader(deposed) = role else { return };
        // Nobody knows what becomes of these entries.
        let doubt =
            RpcError::new(ErrorCode::TIMEOUT, "this leader was deposed before the request was committed");
        let now = cx.now();
        for client in deposed.writes.values().filter(|client| now <= client.until) {
            refuse(&client.id, client.msg_id, &doubt, cx).expect("an error is well formed");
        }
        let refusal = RpcError::temporarily_unavailable("this leader was deposed");
        for Read { client, .. } in deposed.reads.iter().filter(|read| now <= read.client.until) {
            refuse(&client.id, client.msg_id, &refusal, cx).expect("an error is well formed");
        }
        self.reset_election_timer(cx);
    }

    fn reset_election_timer(&mut self, cx: &mut Context<'_, Self>) {
        let timeout = self.timing.election_timeout.as_micros();
        self.election_at = cx.now() + Duration::from_micros(timeout + cx.rng().u64(0..=timeout));
    }

    fn tick(&mut self, cx: &mut Context<'_, Self>) {
        match &mut self.role {
            Role::Leader(leader) => {
                let now = cx.now();
                leader.writes.retain(|_, client| now <= client.until);
                leader.reads.retain(|read| now <= read.client.until);
                let timeout = Duration::from_micros(2 * self.timing.election_timeout.as_micros());
                let heard = leader.followers.values().filter(|follower| now - follower.heard_at <= timeout);
                if heard.count() + 1 < majority(cx) {
                    // It cannot commit, and who can reach another leader does better without it.
                    return self.become_follower(None, cx);
                }
                if leader.next_heartbeat <= now {
                    self.broadcast(cx);
                }
            }
            _ if self.election_at <= cx.now() => self.stand_for_election(cx),
            _ => {}
        }
    }

    /// Applies what is committed, and answers the clients that wait for it.
    fn apply_committed(&mut self, cx: &mut Context<'_, Self>) {
        while self.last_applied < self.commit_index {
            self.last_applied += 1;
            let Some(entry) = self.log.entry(self.last_applied) else { return };
            let result = self.registers.apply(entry);
            let Role::Leader(leader) = &mut self.role else { continue };
            if let (Some(client), Some(result)) = (leader.writes.remove(&self.last_applied), result) {
                answer(&client, result, cx);
            }
        }
        if self.log.len() > ENTRIES_MAX {
            self.log.compact(self.last_applied);
            self.persist_snapshot(cx);
        }
    }

    fn persist_snapshot(&self, cx: &mut Context<'_, Self>) {
        let (term, voted_for) = (self.current_term, self.voted_for.clone());
        let (log, registers) = (self.log.clone(), self.registers.clone());
        cx.snapshot(&Record::Snapshot { term, voted_for, log, registers }.to_bytes());
    }
}

/// Elections: §5.2 and §5.4.1.
impl Raft {
    /// Asks the others whether they would vote for this node, before anything changes.
    fn stand_for_election(&mut self, cx: &mut Context<'_, Self>) {
        self.reset_election_timer(cx);
        self.role = Role::PreCandidate { votes: BTreeSet::new() };
        self.request_votes(self.current_term + 1, true, cx);
        self.count_vote(cx.id().to_owned(), cx);
    }

    /// To begin an election: increment `currentTerm`, vote for self, reset the election timer, send `RequestVote`.
    fn start_election(&mut self, cx: &mut Context<'_, Self>) {
        self.current_term += 1;
        self.voted_for = Some(cx.id().to_owned());
        self.persist_vote(cx);
        self.reset_election_timer(cx);
        self.role = Role::Candidate { votes: BTreeSet::new() };
        self.request_votes(self.current_term, false, cx);
        self.count_vote(cx.id().to_owned(), cx);
    }

    fn request_votes(&self, term: Term, is_pre: bool, cx: &mut Context<'_, Self>) {
        let (last_log_index, last_log_term) = (self.log.last_index(), self.log.last_term());
        let request = Message::RequestVote { term, last_log_index, last_log_term, is_pre };
        for peer in peers(cx) {
            send(&peer, &request, cx);
        }
    }

    fn handle_request_vote(
        &mut self,
        candidate: &str,
        term: Term,
        last_log: (Term, Index),
        is_pre: bool,
        cx: &mut Context<'_, Self>,
    ) -> Result<(), RpcError> {
        if !is_pre {
            self.see_term(term, cx);
        }
        // The later last term wins, and of two logs with the same the longer one.
        let own = (self.log.last_term(), self.log.last_index());
        let is_up_to_date = last_log >= own || self.has(Bug::LetsShorterLogsWin) && last_log.0 >= own.0;
        let is_granted = if is_pre {
            let hears_leader = matches!(self.role, Role::Leader(_))
                || self.heard_at.is_some_and(|heard_at| cx.now() - heard_at < self.timing.election_timeout);
            term > self.current_term && is_up_to_date && !hears_leader
        } else {
            let may_vote = self.voted_for.as_deref().is_none_or(|voted_for| voted_for == candidate);
            term == self.current_term && is_up_to_date && (may_vote || self.has(Bug::VotesTwice))
        };
        if is_granted && !is_pre {
            self.voted_for = Some(candidate.to_owned());
            self.persist_vote(cx);
            self.reset_election_timer(cx);
        }
        let term = if is_pre && is_granted { term } else { self.current_term };
        cx.message_with(candidate, &Message::Vote { term, is_granted, is_pre })
    }

    fn handle_vote(
        &mut self,
        voter: &str,
        term: Term,
        is_granted: bool,
        is_pre: bool,
        cx: &mut Context<'_, Self>,
    ) {
        if is_pre && is_granted {
            if matches!(self.role, Role::PreCandidate { .. }) && term == self.current_term + 1 {
                self.count_vote(voter.to_owned(), cx);
            }
            return;
        }
        self.see_term(term, cx);
        if is_granted && term == self.current_term && matches!(self.role, Role::Candidate { .. }) {
            self.count_vote(voter.to_owned(), cx);
        }
    }

    fn count_vote(&mut self, voter: String, cx: &mut Context<'_, Self>) {
        let majority = majority(cx);
        match &mut self.role {
            Role::PreCandidate { votes } => {
                votes.insert(voter);
                if votes.len() >= majority {
                    self.start_election(cx);
                }
            }
            Role::Candidate { votes } => {
                votes.insert(voter);
                if votes.len() >= majority {
                    self.become_leader(cx);
                }
            }
            Role::Follower { .. } | Role::Leader(_) => {}
        }
    }

    /// Upon election: an entry of its own term, so that all before it can be committed; and heartbeats.
    fn become_leader(&mut self, cx: &mut Context<'_, Self>) {
        let last = self.log.last_index();
        let follower = || Follower { next_index: last + 1, match_index: 0, round: 0, heard_at: cx.now() };
        let followers = cx.cluster().peers().map(|peer| (peer.to_owned(), follower())).collect();
        let first = if self.has(Bug::CommitsOldTerms) { 0 } else { last + 1 };
        self.role = Role::Leader(Leader {
            followers,
            first,
            round: 0,
            is_scheduled: false,
            next_heartbeat: cx.now(),
            writes: BTreeMap::new(),
            reads: Vec::new(),
            latest: BTreeMap::new(),
            results: BTreeMap::new(),
        });
        if !self.has(Bug::CommitsOldTerms) {
            self.append_after(last, vec![Entry::no_op(self.current_term)], cx);
        }
        self.advance_commit_index(cx);
        self.broadcast(cx);
    }
}

/// Leaders.
impl Raft {
    /// Takes a client's request on.
    fn lead(
        &mut self,
        client: String,
        msg_id: u64,
        within: Duration,
        operation: Operation,
        cx: &mut Context<'_, Self>,
    ) -> Result<(), RpcError> {
        let reads_at_once = self.has(Bug::ReadsWhenDeposed);
        let Role::Leader(leader) = &mut self.role else { return Ok(()) };
        if leader.writes.len() + leader.reads.len() >= PENDING_MAX {
            let text = format!("{PENDING_MAX} requests wait, which is the limit");
            return Err(RpcError::temporarily_unavailable(text));
        }
        if leader.latest.len() > PENDING_MAX {
            leader.latest.clear();
        }
        match leader.latest.get_mut(&client) {
            Some(latest) if *latest >= msg_id => return Ok(()),
            Some(latest) => *latest = msg_id,
            None => drop(leader.latest.insert(client.clone(), msg_id)),
        }
        let waiting = Client { id: client, msg_id, until: cx.now() + within };
        match operation {
            Operation::Read { key } if reads_at_once => {
                answer(&waiting, self.registers.read(&key), cx);
                return Ok(());
            }
            Operation::Read { key } => {
                let index = self.commit_index.max(leader.first);
                leader.reads.push(Read { client: waiting, key, index, round: leader.round + 1 });
            }
            operation => {
                // One that came twice changes nothing when it is applied; to know it earlier is cheaper.
                if self.registers.has_applied(&waiting.id, msg_id) {
                    return Ok(());
                }
                let after = self.log.last_index();
                leader.writes.insert(after + 1, waiting.clone());
                let entry =
                    Entry { term: self.current_term, client: waiting.id, msg_id, operation: Some(operation) };
                self.append_after(after, vec![entry], cx);
            }
        }
        self.schedule_round(cx);
        self.advance_commit_index(cx);
        Ok(())
    }

    /// What comes in the next moment goes with it.
    fn schedule_round(&mut self, cx: &mut Context<'_, Self>) {
        if let Role::Leader(leader) = &mut self.role
            && !mem::replace(&mut leader.is_scheduled, true)
        {
            cx.after(BATCH, |raft: &mut Self, cx| raft.broadcast(cx));
        }
    }

    fn broadcast(&mut self, cx: &mut Context<'_, Self>) {
        let Role::Leader(leader) = &mut self.role else { return };
        leader.round += 1;
        leader.is_scheduled = false;
        leader.next_heartbeat = cx.now() + self.timing.heartbeat;
        let round = leader.round;
        for (peer, follower) in &mut leader.followers {
            let prev_log_index = follower.next_index - 1;
            let term = self.current_term;
            let message = if let Some(prev_log_term) = self.log.term(prev_log_index) {
                let entries = self.log.entries_after(prev_log_index, BATCH_MAX).to_vec();
                // Sent is as good as arrived, until the follower says otherwise.
                follower.next_index += entries.len() as Index;
                let leader_commit = self.commit_index;
                Message::AppendEntries { term, prev_log_index, prev_log_term, entries, leader_commit, round }
            } else {
                let last_included_index = self.last_applied;
                follower.next_index = last_included_index + 1;
                let last_included_term = self.log.term(last_included_index).unwrap_or_default();
                let registers = self.registers.clone();
                Message::InstallSnapshot { term, last_included_index, last_included_term, registers, round }
            };
            send(peer, &message, cx);
        }
        self.serve_reads(cx);
    }

    fn handle_append_result(
        &mut self,
        src: &str,
        term: Term,
        is_refused: bool,
        match_index: Index,
        round: u64,
        cx: &mut Context<'_, Self>,
    ) {
        self.see_term(term, cx);
        let last_index = self.log.last_index();
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(follower) = leader.followers.get_mut(src).filter(|_| term == self.current_term) else {
            return;
        };
        follower.heard_at = cx.now();
        follower.round = follower.round.max(round);
        if is_refused {
            // It lacks something, or this is an old message: what it was known to have it has.
            follower.next_index = follower.next_index.min(match_index + 1).max(follower.match_index + 1);
            self.schedule_round(cx);
        } else {
            follower.match_index = follower.match_index.max(match_index.min(last_index));
            follower.next_index = follower.next_index.max(follower.match_index + 1);
            let has_more = follower.next_index <= last_index;
            *leader.results.entry(match_index).or_default() += 1;
            if has_more {
                self.schedule_round(cx);
            }
        }
        self.advance_commit_index(cx);
        self.serve_reads(cx);
    }

    /// If there is an N > commitIndex such that a majority of matchIndex[i] ≥ N, and log[N].term == currentTerm: set
    /// commitIndex = N.
    fn advance_commit_index(&mut self, cx: &mut Context<'_, Self>) {
        let majority = majority(cx);
        let Role::Leader(leader) = &self.role else { return };
        let mut matches: Vec<Index> = leader
            .followers
            .values()
            .map(|follower| follower.match_index)
            .chain([self.log.last_index()])
            .collect();
        matches.sort_unstable_by(|a, b| b.cmp(a));
        let mut index = matches[majority - 1];
        if self.has(Bug::CountsAFollowerTwice) {
            let counted = leader.results.iter().filter(|(_, count)| **count + 1 >= majority);
            index = counted.map(|(index, _)| *index).max().unwrap_or(0).max(index);
        }
        let is_of_this_term =
            self.log.term(index) == Some(self.current_term) || self.has(Bug::CommitsOldTerms);
        if index > self.commit_index && is_of_this_term {
            self.commit_index = index;
            self.apply_committed(cx);
        }
    }

    /// Answers the reads that came before a round that a majority has answered.
    fn serve_reads(&mut self, cx: &mut Context<'_, Self>) {
        let majority = majority(cx);
        let Role::Leader(leader) = &mut self.role else { return };
        let mut rounds: Vec<u64> = leader.followers.values().map(|follower| follower.round).collect();
        rounds.sort_unstable_by(|a, b| b.cmp(a));
        // This node itself is one of them.
        let proven = if majority == 1 { leader.round } else { rounds[majority - 2] };
        let last_applied = self.last_applied;
        let may_be_served = |read: &Read| read.round <= proven && read.index <= last_applied;
        let (served, waiting) = mem::take(&mut leader.reads).into_iter().partition(may_be_served);
        leader.reads = waiting;
        for Read { client, key, .. } in served {
            answer(&client, self.registers.read(&key), cx);
        }
    }
}

/// Followers.
impl Raft {
    /// A leader of this term speaks. `false` if it is of an earlier one.
    fn follow(&mut self, leader: &str, term: Term, cx: &mut Context<'_, Self>) -> bool {
        self.see_term(term, cx);
        if term < self.current_term {
            return false;
        }
        if !matches!(&self.role, Role::Follower { leader: Some(known) } if known == leader) {
            self.become_follower(Some(leader.to_owned()), cx);
        }
        self.heard_at = Some(cx.now());
        self.reset_election_timer(cx);
        true
    }

    /// Appends what the leader sent; what both agree about then, or at best could.
    fn append(
        &mut self,
        prev_log_index: Index,
        prev_log_term: Term,
        mut entries: Vec<Entry>,
        leader_commit: Index,
        cx: &mut Context<'_, Self>,
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
            // Committed entries agree with every leader's.
            return Err(self.log.last_index().min(prev.saturating_sub(1)).max(self.commit_index));
        }
        // Only a conflict deletes what is here: the message may be an old one.
        let known =
            (prev + 1..).zip(&entries).take_while(|(index, entry)| self.log.term(*index) == Some(entry.term));
        let known = if self.has(Bug::TruncatesWhatAgrees) { 0 } else { known.count() };
        let news = entries.split_off(known);
        if !news.is_empty() || self.has(Bug::TruncatesWhatAgrees) && prev < self.log.last_index() {
            self.append_after(prev + known as Index, news, cx);
        }
        let committed = leader_commit.min(last_new);
        if committed > self.commit_index {
            self.commit_index = committed;
            self.apply_committed(cx);
        }
        Ok(last_new)
    }

    /// Takes the leader's snapshot in place of all before it.
    fn install(&mut self, index: Index, term: Term, registers: Registers, cx: &mut Context<'_, Self>) {
        if index <= self.commit_index {
            return;
        }
        self.log.start_from(index, term);
        self.registers = registers;
        self.commit_index = index;
        self.last_applied = index;
        self.persist_snapshot(cx);
    }

    fn send_result(
        &self,
        leader: &str,
        result: Result<Index, Index>,
        round: u64,
        cx: &mut Context<'_, Self>,
    ) -> Result<(), RpcError> {
        let (is_refused, match_index) = (result.is_err(), result.unwrap_or_else(|hint| hint));
        let term = self.current_term;
        cx.message_with(leader, &Message::AppendResult { term, is_refused, match_index, round })
    }
}

/// How many nodes are more than half of all.
fn majority(cx: &Context<'_, Raft>) -> usize {
    cx.cluster().nodes().len() / 2 + 1
}

fn peers(cx: &Context<'_, Raft>) -> Vec<String> {
    cx.cluster().peers().map(str::to_owned).collect()
}

fn send(peer: &str, message: &Message, cx: &mut Context<'_, Raft>) {
    cx.message_with(peer, message).expect("it goes to a peer");
}

/// Answers a client, whichever node it asked.
fn answer(client: &Client, result: Result<Answer, RpcError>, cx: &mut Context<'_, Raft>) {
    if client.until < cx.now() {
        return;
    }
    let msg_id = client.msg_id.to_string();
    let sent = match result {
        Ok(Answer::Read(value)) => cx.reply_for(&client.id, &msg_id, "read_ok").field("value", value).send(),
        Ok(Answer::Written) => cx.reply_for(&client.id, &msg_id, "write_ok").send(),
        Ok(Answer::Swapped) => cx.reply_for(&client.id, &msg_id, "cas_ok").send(),
        Err(error) => refuse(&client.id, client.msg_id, &error, cx),
    };
    sent.expect("an answer is well formed");
}

fn refuse(client: &str, msg_id: u64, error: &RpcError, cx: &mut Context<'_, Raft>) -> Result<(), RpcError> {
    let msg_id = msg_id.to_string();
    cx.reply_for(client, &msg_id, "error").field("code", error.code.0).field("text", &*error.text).send()
}
