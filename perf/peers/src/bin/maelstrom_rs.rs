//! An echo node with the crate `maelstrom_rs`.

use maelstrom_rs::actor::Actor;
use maelstrom_rs::error::Error;
use maelstrom_rs::message::{Request, Response};
use maelstrom_rs::runtime::Runtime;

struct Echo;

impl Actor for Echo {
    fn init(&mut self, _: &str, _: Vec<String>) -> Result<(), Error> {
        Ok(())
    }

    fn receive(&mut self, request: &Request) -> Result<Vec<Response>, Error> {
        Ok(vec![Response::new_from_request(request, request.body.clone())])
    }
}

fn main() {
    Runtime::new(Box::new(Echo)).start();
}
