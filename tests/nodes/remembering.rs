//! A sum that outlives its node.

use messenger::store::BadRecord;
use messenger::{Context, Handler, Request, RpcError};

#[derive(Default)]
struct Sum {
    total: i64,
    records: u64,
}

impl Handler for Sum {
    fn on_request(&mut self, request: &Request<'_>, cx: &mut Context<'_, Self>) -> Result<(), RpcError> {
        match request.kind() {
            "add" => {
                self.total += request.integer("delta")?;
                self.records += 1;
                if self.records.is_multiple_of(10) {
                    cx.snapshot(&format!("={}", self.total));
                } else {
                    cx.persist(&format!("+{}", request.integer("delta")?));
                }
                cx.reply(request, "add_ok").send()
            }
            "read" => cx.reply(request, "read_ok").field("value", self.total).send(),
            kind => Err(RpcError::not_supported(kind)),
        }
    }

    fn recover(&mut self, record: &[u8]) -> Result<(), BadRecord> {
        let text = String::from_utf8_lossy(record);
        let number =
            |digits: &str| digits.parse::<i64>().map_err(|error| BadRecord(format!("{text:?}: {error}")));
        match text.as_bytes().first() {
            Some(b'+') => self.total += number(&text[1..])?,
            Some(b'=') => self.total = number(&text[1..])?,
            _ => return Err(BadRecord(format!("expected + or =, found {text:?}"))),
        }
        self.records += 1;
        Ok(())
    }
}

fn main() -> std::io::Result<()> {
    messenger::run(Sum::default())
}
