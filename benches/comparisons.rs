//! What newline-delimited JSON over pipes costs beside other ways to say the same: the envelope in other encodings, and
//! an echo over other transports, on this machine.
//!
//! `cargo bench --bench comparisons` prints the tables of `perf/README.md`.

use std::fs::File;
use std::hint::black_box;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use messenger::internals::{Parser, UncheckedEnvelope};
use messenger::wire::lines::Line;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use prost::Message;
use serde::{Deserialize, Serialize};

fn main() -> io::Result<()> {
    encodings();
    transports()
}

#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
struct Envelope {
    #[prost(string, tag = "1")]
    src: String,
    #[prost(string, tag = "2")]
    dest: String,
    #[prost(message, optional, tag = "3")]
    body: Option<Body>,
}

#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
struct Body {
    #[prost(string, tag = "1")]
    #[serde(rename = "type")]
    kind: String,
    #[prost(uint64, tag = "2")]
    msg_id: u64,
    #[prost(string, tag = "3")]
    echo: String,
}

fn encodings() {
    println!("| envelope | bytes | encode, ns | decode, ns |\n| --- | --- | --- | --- |");
    for size in [15, 4096] {
        let body = Body { kind: "echo".into(), msg_id: 123_456, echo: "x".repeat(size) };
        let envelope = Envelope { src: "c1".into(), dest: "n1".into(), body: Some(body) };
        let row = |name: &str, encode: &dyn Fn(&mut Vec<u8>), decode: &mut dyn FnMut(&[u8])| {
            let mut bytes = Vec::new();
            encode(&mut bytes);
            let length = bytes.len();
            let decode_ns = nanoseconds(|| decode(black_box(&bytes)));
            let encode_ns = nanoseconds(|| {
                bytes.clear();
                encode(black_box(&mut bytes));
            });
            println!("| {size} bytes of text, {name} | {length} | {encode_ns:.0} | {decode_ns:.0} |");
        };
        let is_same = |decoded: Envelope| assert!(decoded == envelope);
        row("JSON by `serde_json`", &|out| serde_json::to_writer(out, &envelope).unwrap(), &mut |bytes| {
            is_same(serde_json::from_slice(bytes).unwrap());
        });
        row(
            "MessagePack with names by `rmp-serde`",
            &|out| rmp_serde::encode::write_named(out, &envelope).unwrap(),
            &mut |bytes| is_same(rmp_serde::from_slice(bytes).unwrap()),
        );
        row(
            "MessagePack without names",
            &|out| rmp_serde::encode::write(out, &envelope).unwrap(),
            &mut |bytes| is_same(rmp_serde::from_slice(bytes).unwrap()),
        );
        row("Protobuf by `prost`", &|out| envelope.encode(out).unwrap(), &mut |bytes| {
            is_same(Envelope::decode(bytes).unwrap());
        });
        let mut parser = Parser::new();
        let line = serde_json::to_vec(&envelope).unwrap();
        let length = line.len();
        let decode_ns = nanoseconds(|| {
            let unchecked = UncheckedEnvelope::parse(&mut parser, Line::new(black_box(&line))).unwrap();
            black_box(unchecked.check().unwrap().body.get("echo"));
        });
        println!("| {size} bytes of text, JSON by this crate, borrowed | {length} | | {decode_ns:.0} |");
    }
}

/// The median of 15 samples of 10,000 times.
fn nanoseconds(mut step: impl FnMut()) -> f64 {
    let mut samples = [0.0; 15].map(|_: f64| {
        let start = Instant::now();
        (0..10_000).for_each(|_| step());
        start.elapsed().as_secs_f64() * 1e9 / 10_000.0
    });
    samples.sort_by(f64::total_cmp);
    samples[7]
}

const SIZE: usize = 100;
const ROUND_TRIPS: usize = 50_000;
const FLOOD: usize = 500_000;

/// Two ends of a stream each: the one we have, and the other one's. Read from the first, write to the second.
type Ends = [(File, File); 2];

fn transports() -> io::Result<()> {
    println!("\n| {SIZE} bytes over | round trip p50, µs | p99, µs | flood, messages/s | lost |");
    println!("| --- | --- | --- | --- | --- |");
    for (name, [ours, theirs]) in [("pipes", pipes()?), ("Unix socket", unix()?), ("TCP", tcp()?)] {
        let server = thread::spawn(move || echo_stream(theirs.0, theirs.1));
        let (mut input, mut output) = ours;
        let mut reply = [0; SIZE];
        let round_trips = measure_round_trips(|| {
            output.write_all(&[b'x'; SIZE])?;
            input.read_exact(&mut reply)
        })?;
        let start = Instant::now();
        let writer = thread::spawn(move || output.write_all(&vec![b'x'; SIZE * FLOOD]).map(|()| output));
        let (mut buffer, mut received) = (vec![0; 1 << 16], 0);
        while received < SIZE * FLOOD {
            match input.read(&mut buffer)? {
                0 => break,
                count => received += count,
            }
        }
        print_row(name, &round_trips, start.elapsed(), received / SIZE);
        drop((writer.join().expect("it does not panic")?, input));
        server.join().expect("it does not panic")?;
    }

    let (ours, theirs) = udp()?;
    let server = thread::spawn(move || echo_datagrams(&theirs));
    ours.set_read_timeout(Some(Duration::from_millis(300)))?;
    let mut reply = [0; SIZE];
    let round_trips = measure_round_trips(|| {
        ours.send(&[b'x'; SIZE])?;
        ours.recv(&mut reply).map(drop)
    })?;
    let (start, sender) = (Instant::now(), ours.try_clone()?);
    // Nothing stops a sender of datagrams: what does not fit into a socket's buffer is lost.
    let writer = thread::spawn(move || (0..FLOOD).filter(|_| sender.send(&[b'x'; SIZE]).is_ok()).count());
    let (mut received, mut last) = (0, start);
    while ours.recv(&mut reply).is_ok() {
        (received, last) = (received + 1, Instant::now());
    }
    print_row("UDP, a datagram each", &round_trips, last - start, received);
    assert!(writer.join().expect("it does not panic") >= received);
    while !server.is_finished() {
        ours.send(b"")?;
        thread::sleep(Duration::from_millis(1));
    }
    server.join().expect("it does not panic")
}

fn measure_round_trips(mut step: impl FnMut() -> io::Result<()>) -> io::Result<Vec<f64>> {
    let mut round_trips = Vec::with_capacity(ROUND_TRIPS);
    for _ in 0..ROUND_TRIPS {
        let start = Instant::now();
        step()?;
        round_trips.push(start.elapsed().as_secs_f64() * 1e6);
    }
    round_trips.sort_by(f64::total_cmp);
    Ok(round_trips)
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn print_row(name: &str, round_trips: &[f64], flood: Duration, received: usize) {
    let (p50, p99) = (round_trips[ROUND_TRIPS / 2], round_trips[ROUND_TRIPS * 99 / 100]);
    let (rate, lost) = (received as f64 / flood.as_secs_f64(), FLOOD - received);
    println!("| {name} | {p50:.1} | {p99:.1} | {rate:.0} | {lost} of {FLOOD} |");
}

/// Two pipes, one in each direction, as a node has them.
fn pipes() -> io::Result<Ends> {
    let ((from_us, to_them), (from_them, to_us)) = (io::pipe()?, io::pipe()?);
    let file = |end: OwnedFd| File::from(end);
    Ok([(file(from_them.into()), file(to_them.into())), (file(from_us.into()), file(to_us.into()))])
}

fn unix() -> io::Result<Ends> {
    let (ours, theirs) = UnixStream::pair()?;
    both([ours.into(), theirs.into()])
}

fn tcp() -> io::Result<Ends> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let ours = TcpStream::connect(listener.local_addr()?)?;
    let theirs = listener.accept()?.0;
    ours.set_nodelay(true)?;
    theirs.set_nodelay(true)?;
    both([ours.into(), theirs.into()])
}

fn both([ours, theirs]: [OwnedFd; 2]) -> io::Result<Ends> {
    let end = |end: OwnedFd| io::Result::Ok((File::from(end.try_clone()?), File::from(end)));
    Ok([end(ours)?, end(theirs)?])
}

fn udp() -> io::Result<(UdpSocket, UdpSocket)> {
    let (ours, theirs) =
        (UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?, UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?);
    ours.connect(theirs.local_addr()?)?;
    theirs.connect(ours.local_addr()?)?;
    Ok((ours, theirs))
}

/// Sends back what comes, as a reactor does it: 64 KiB at most at once, and no reading while it cannot be written.
fn echo_stream(mut input: File, mut output: File) -> io::Result<()> {
    let mut poll = Poll::new()?;
    for (end, interest) in [(&input, Interest::READABLE), (&output, Interest::WRITABLE)] {
        rustix::io::ioctl_fionbio(end.as_fd(), true)?;
        poll.registry().register(&mut SourceFd(&end.as_raw_fd()), Token(0), interest)?;
    }
    let (mut events, mut buffer, mut waiting) = (Events::with_capacity(8), vec![0; 1 << 16], 0..0);
    loop {
        poll.poll(&mut events, None)?;
        loop {
            let step = if waiting.is_empty() {
                input.read(&mut buffer).map(|count| waiting = 0..count)
            } else {
                output.write(&buffer[waiting.clone()]).map(|count| waiting.start += count)
            };
            match step {
                Ok(()) if waiting.end == 0 => return Ok(()),
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
    }
}

/// The same, until a datagram is empty. One that cannot be sent at once is lost.
fn echo_datagrams(socket: &UdpSocket) -> io::Result<()> {
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(8));
    socket.set_nonblocking(true)?;
    poll.registry().register(&mut SourceFd(&socket.as_raw_fd()), Token(0), Interest::READABLE)?;
    let mut buffer = [0; SIZE];
    loop {
        poll.poll(&mut events, None)?;
        loop {
            match socket.recv(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => drop(socket.send(&buffer[..count])),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
    }
}
