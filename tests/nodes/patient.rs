//! A node that waits for as long as it takes when its input has ended.

use messenger::Duration;
use messenger::node::{Config, Node};
use messenger::nodes::course::Messenger;
use messenger::reactor::{self, Options};

fn main() -> std::io::Result<()> {
    let options = Options { drain_timeout: Duration::MAX, ..Options::default() };
    reactor::run(&mut Node::new(Messenger::default(), Config::default()), &options)
}
