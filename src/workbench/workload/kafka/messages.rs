//! Its requests and replies.

use super::super::rpc::{Field, Rpc, Shape};

const KEY: Field = Field { name: "key", shape: Shape::Text, about: "which log", example: "\"9\"" };

pub(super) static SEND: Rpc = Rpc {
    request: "send",
    about: "Appends a message to a log",
    fields: &[KEY, Field { name: "msg", shape: Shape::Any, about: "the message", example: "3" }],
    reply: "send_ok",
    reply_fields: &[Field {
        name: "offset",
        shape: Shape::Natural,
        about: "where it is in the log: above those before it, and no other message of the key has it",
        example: "1000",
    }],
    errors: &[],
};

pub(super) static POLL: Rpc = Rpc {
    request: "poll",
    about: "Asks for messages",
    fields: &[Field {
        name: "offsets",
        shape: Shape::Map(&Shape::Natural),
        about: "for each log that is asked for, the first offset of interest",
        example: "{\"9\":1000,\"8\":0}",
    }],
    reply: "poll_ok",
    reply_fields: &[Field {
        name: "msgs",
        shape: Shape::Map(&Shape::List(&Shape::Tuple(&[Shape::Natural, Shape::Any]))),
        about: "for each log any number of the messages from there on, each with its offset, and none left out between \
                two; a log without new ones may be left out",
        example: "{\"9\":[[1000,3],[1001,4]]}",
    }],
    errors: &[],
};

pub(super) static COMMIT: Rpc = Rpc {
    request: "commit_offsets",
    about: "Says that the messages up to these offsets, and those at them, are processed",
    fields: &[Field {
        name: "offsets",
        shape: Shape::Map(&Shape::Natural),
        about: "for each log the highest offset that is processed",
        example: "{\"9\":1001}",
    }],
    reply: "commit_offsets_ok",
    reply_fields: &[],
    errors: &[],
};

pub(super) static LIST: Rpc = Rpc {
    request: "list_committed_offsets",
    about: "Asks up to where messages are processed",
    fields: &[Field {
        name: "keys",
        shape: Shape::List(&Shape::Text),
        about: "which logs",
        example: "[\"9\",\"8\"]",
    }],
    reply: "list_committed_offsets_ok",
    reply_fields: &[Field {
        name: "offsets",
        shape: Shape::Map(&Shape::Natural),
        about: "for each of these logs the offset that was committed; none where nothing was",
        example: "{\"9\":1001}",
    }],
    errors: &[],
};
