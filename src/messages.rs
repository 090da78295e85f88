//! Maelstrom's messages as types, a module for each workload: [`Request::parse`](crate::Request::parse) reads its
//! `Request`, [`Context::reply_with`](crate::Context::reply_with) sends its `Reply`.
//!
//! They are the messages of the table that `messenger help WORKLOAD` prints. A node with messages between its nodes has
//! an enum of its own, which is as short.
//!
//! ```no_run
//! use messenger::messages::echo::{Reply, Request};
//!
//! fn main() -> std::io::Result<()> {
//!     messenger::run(messenger::handler_fn(|request, cx| {
//!         let Request::Echo { echo } = request.parse()?;
//!         cx.reply_with(request, &Reply::EchoOk { echo })
//!     }))
//! }
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::json::value::Value;

/// `-w echo`: what is sent comes back.
pub mod echo {
    use super::{Deserialize, Serialize, Value};

    /// What clients ask for.
    #[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Request<'a> {
        /// To be sent back.
        Echo {
            /// Anything.
            #[serde(borrow)]
            echo: Value<'a>,
        },
    }

    /// What they get.
    #[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Reply<'a> {
        /// The same.
        EchoOk {
            /// What was sent.
            #[serde(borrow)]
            echo: Value<'a>,
        },
    }
}

/// `-w unique-ids`: ids that no node gives twice.
pub mod unique_ids {
    use super::{Deserialize, Serialize};

    /// What clients ask for.
    #[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Request {
        /// A new id.
        Generate,
    }

    /// What they get.
    #[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Reply {
        /// The id.
        GenerateOk {
            /// It may be any JSON value; this is text.
            id: String,
        },
    }
}

/// `-w broadcast`: what is told to one node is known to all.
pub mod broadcast {
    use super::{BTreeMap, Deserialize, Serialize};

    /// What clients ask for.
    #[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Request {
        /// To be known to all.
        Broadcast {
            /// What.
            message: i64,
        },
        /// All that is known.
        Read,
        /// Whom the nodes should talk to.
        Topology {
            /// The neighbours of each node.
            topology: BTreeMap<String, Vec<String>>,
        },
        /// What nodes may tell each other; Maelstrom's clients do not send it.
        Gossip {
            /// Some of what the sender knows.
            messages: Vec<i64>,
        },
    }

    /// What they get.
    #[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Reply {
        /// It is noted.
        BroadcastOk,
        /// What is known.
        ReadOk {
            /// Each once.
            messages: Vec<i64>,
        },
        /// It is noted.
        TopologyOk,
        /// It is noted.
        GossipOk,
    }
}

/// `-w g-set`: a set that only grows.
pub mod g_set {
    use super::{Deserialize, Serialize};

    /// What clients ask for.
    #[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Request {
        /// To be in the set.
        Add {
            /// What.
            element: i64,
        },
        /// All that is in it.
        Read,
    }

    /// What they get.
    #[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Reply {
        /// It is noted.
        AddOk,
        /// What is in the set.
        ReadOk {
            /// Each once.
            value: Vec<i64>,
        },
    }
}

/// `-w g-counter` and `-w pn-counter`: a sum.
pub mod counter {
    use super::{Deserialize, Serialize};

    /// What clients ask for.
    #[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Request {
        /// To be added.
        Add {
            /// How much. Not negative in `g-counter`.
            delta: i64,
        },
        /// The sum.
        Read,
    }

    /// What they get.
    #[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Reply {
        /// It is noted.
        AddOk,
        /// The sum.
        ReadOk {
            /// How much.
            value: i64,
        },
    }
}

/// `-w lin-kv`: registers, each as if there were one copy of it. Maelstrom's own services have the same messages.
pub mod lin_kv {
    use super::{Deserialize, Serialize};

    /// What clients ask for.
    #[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Request {
        /// The value of a key.
        Read {
            /// Which.
            key: i64,
        },
        /// To be the value of a key.
        Write {
            /// Which.
            key: i64,
            /// What.
            value: i64,
        },
        /// To be the value of a key if another one is now. Else error 22, or 20 if there is none.
        Cas {
            /// Which.
            key: i64,
            /// What has to be there.
            from: i64,
            /// What is there then.
            to: i64,
        },
    }

    /// What they get.
    #[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Reply {
        /// The value. For a key that has none there is error 20.
        ReadOk {
            /// What.
            value: i64,
        },
        /// It is written.
        WriteOk,
        /// It was `from`, and is `to`.
        CasOk,
    }
}

/// `-w kafka`: logs of messages, each with its offset.
pub mod kafka {
    use super::{BTreeMap, Cow, Deserialize, Serialize};

    /// What clients ask for.
    #[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Request<'a> {
        /// To be put at the end of a log.
        Send {
            /// Of which.
            #[serde(borrow)]
            key: Cow<'a, str>,
            /// What.
            msg: i64,
        },
        /// Messages from there on.
        Poll {
            /// From which offset, for each log.
            offsets: BTreeMap<String, usize>,
        },
        /// Messages up to there are dealt with.
        CommitOffsets {
            /// Up to which offset, for each log.
            offsets: BTreeMap<String, usize>,
        },
        /// What was committed.
        ListCommittedOffsets {
            /// For which logs.
            keys: Vec<String>,
        },
    }

    /// What they get.
    #[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Reply {
        /// It is there.
        SendOk {
            /// Where.
            offset: usize,
        },
        /// Messages.
        PollOk {
            /// Of each log some, in their order, each after its offset. Logs that have none are left out.
            msgs: BTreeMap<String, Vec<(usize, i64)>>,
        },
        /// It is noted.
        CommitOffsetsOk,
        /// What was committed.
        ListCommittedOffsetsOk {
            /// Up to where, for each log of which anything was.
            offsets: BTreeMap<String, usize>,
        },
    }
}

/// `-w txn-rw-register` and `-w txn-list-append`: transactions.
pub mod txn {
    use super::{Deserialize, Serialize};

    /// What clients ask for. `O` is the workload's operation, [`Register`] or [`List`].
    #[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Request<O> {
        /// To be done all together, or not at all. Error 30 if others were in the way.
        Txn {
            /// What, in this order.
            txn: Vec<O>,
        },
    }

    /// What they get.
    #[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Reply<O> {
        /// It is done.
        TxnOk {
            /// The same, with the values that were read.
            txn: Vec<O>,
        },
    }

    /// An operation of `-w txn-rw-register`: what to do, the key, and the value, which is `None` in a read that is asked
    /// for, and where nothing was written yet. `["r", 1, null]`, `["w", 1, 2]`.
    pub type Register = (Access, u64, Option<i64>);

    /// What to do with a register.
    #[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
    pub enum Access {
        /// To read.
        #[serde(rename = "r")]
        Read,
        /// To write.
        #[serde(rename = "w")]
        Write,
    }

    /// An operation of `-w txn-list-append`: what to do, the key, and the value. `["r", 1, null]`, `["r", 1, [2, 3]]`,
    /// `["append", 1, 2]`.
    pub type List = (Growth, u64, Option<Elements>);

    /// What to do with a list.
    #[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
    pub enum Growth {
        /// To read it.
        #[serde(rename = "r")]
        Read,
        /// To put something at its end.
        #[serde(rename = "append")]
        Append,
    }

    /// One element, or all.
    #[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
    #[serde(untagged)]
    pub enum Elements {
        /// What is appended.
        One(i64),
        /// What was read.
        All(Vec<i64>),
    }
}
