//! The reader's tests: each alphabet, split at every byte, and the lengths a hostile subject would send.
use super::*;

/// Reads the whole input fed in pieces of `step` bytes.
fn read_all(phase: Phase, input: &[u8], step: usize) -> Result<Vec<Item>, WireError> {
    let mut reader = Reader::new(phase);
    let mut items = Vec::new();
    for piece in input.chunks(step) {
        reader.feed(piece);
        while let Some(item) = reader.next_item()? {
            items.push(item);
        }
    }
    Ok(items)
}

fn command(words: &[&str]) -> Body {
    Body::Command(Command {
        words: words.iter().map(|word| word.as_bytes().to_vec()).collect(),
    })
}

#[test]
fn full_resync_in_either_framing_is_read_at_every_split() {
    let mark = [b'a'; MARK_BYTES];
    for framing in [Framing::Length(5), Framing::Mark(mark)] {
        let closing: &[u8] = if framing == Framing::Length(5) {
            b""
        } else {
            &mark
        };
        let input = [
            b"+FULLRESYNC 01 7\r\n\n".as_slice(),
            &framing.header(),
            b"aa\n\r$",
            closing,
            &encode(&["PING"]),
            b"\n",
        ]
        .concat();
        for step in 1..=input.len() {
            let items = read_all(Phase::Answers, &input, step).unwrap();
            let bodies: Vec<Body> = items.iter().map(|item| item.body.clone()).collect();
            let expected = [
                Body::Status("FULLRESYNC 01 7".into()),
                Body::KeepAlive,
                Body::PayloadStart(framing.clone()),
                Body::Payload(b"aa\n\r$".to_vec()),
                command(&["PING"]),
                Body::KeepAlive,
            ];
            assert_eq!(bodies, expected, "step {step}");
            assert_eq!(
                items.iter().map(|item| item.bytes).sum::<u64>(),
                input.len() as u64
            );
            assert_eq!(items[4].bytes, 14);
        }
    }
}

#[test]
fn stream_after_continue_counts_incomplete_bytes_and_can_be_taken_raw() {
    let mut reader = Reader::new(Phase::Answers);
    reader.feed(b"+CONTINUE 00\r\n*1\r\n$4\r\nping\r\n*3\r\n$3\r\nSET\r");
    assert_eq!(
        reader.next_item().unwrap().unwrap().body,
        Body::Status("CONTINUE 00".into())
    );
    let ping = reader.next_item().unwrap().unwrap();
    assert_eq!(ping.bytes, 14);
    assert!(matches!(ping.body, Body::Command(command) if command.name() == "PING"));
    assert_eq!(reader.next_item().unwrap(), None);
    assert_eq!(reader.stream_received(), 14 + 12);
    assert_eq!(reader.partial().unwrap().bytes, 12);
    assert_eq!(reader.take_raw(100), b"*3\r\n$3\r\nSET\r");
    assert_eq!(reader.stream_received(), 26);
    assert_eq!(reader.partial(), None);
}

#[test]
fn replica_may_speak_inline_and_in_arrays() {
    let items = read_all(
        Phase::Requests,
        b"SYNC\r\n\n*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$1\r\n0\r\n",
        3,
    )
    .unwrap();
    let bodies: Vec<Body> = items.into_iter().map(|item| item.body).collect();
    assert_eq!(
        bodies,
        [
            command(&["SYNC"]),
            Body::KeepAlive,
            command(&["REPLCONF", "ACK", "0"])
        ]
    );
}

fn out_of_range(what: &'static str, came: i128, limit: u64) -> WireError {
    WireError::LengthOutOfRange { what, came, limit }
}

#[test]
fn hostile_lengths_are_refused_by_name() {
    let (snapshot, bulk, count) = (
        "the length of a snapshot",
        "the length of a bulk string",
        "the number of words of a command",
    );
    let cases: [(Phase, &[u8], WireError); 5] = [
        (
            Phase::Answers,
            b"$4611686018427387904\r\n",
            out_of_range(snapshot, 1 << 62, MAX_PAYLOAD_BYTES),
        ),
        (
            Phase::Answers,
            b"$-1\r\n",
            out_of_range(snapshot, -1, MAX_PAYLOAD_BYTES),
        ),
        (
            Phase::Answers,
            b"$1e3\r\n",
            WireError::NotANumber {
                what: snapshot,
                came: Excerpt::of(b"1e3"),
            },
        ),
        (
            Phase::Stream,
            b"*1\r\n$4611686018427387904\r\n",
            out_of_range(bulk, 1 << 62, MAX_BULK_BYTES),
        ),
        (
            Phase::Stream,
            b"*99999999\r\n",
            out_of_range(count, 99_999_999, MAX_ARRAY_ITEMS),
        ),
    ];
    for (phase, input, error) in cases {
        assert_eq!(read_all(phase, input, input.len()), Err(error));
    }
}

#[test]
fn garbage_is_refused_with_its_first_bytes() {
    let answer = "a status, an error, a keep-alive or a snapshot from the primary";
    let cases: [(Phase, &[u8], &'static str, &[u8]); 7] = [
        (Phase::Answers, b"HTTP/1.1 400", answer, b"HTTP/1.1 400"),
        (
            Phase::Answers,
            b"$EOF:short\r\n",
            "a mark of 40 characters",
            b"$EOF:short\r\n",
        ),
        (
            Phase::Stream,
            b"*0\r\n",
            "a command of at least one word",
            b"*0\r\n",
        ),
        (
            Phase::Stream,
            b"-ERR stray\r\n",
            "a command of the stream, as an array of bulk strings",
            b"-ERR stray\r\n",
        ),
        (
            Phase::Stream,
            b"*1\r\n$4\r\nPINGxx",
            "the end of a bulk string (\\r\\n)",
            b"xx",
        ),
        (
            Phase::Stream,
            b"*1\r\n:4\r\n",
            "a bulk string ($)",
            b":4\r\n",
        ),
        (
            Phase::Requests,
            b"\x00\x01",
            "a command from the replica",
            b"\x00\x01",
        ),
    ];
    for (phase, input, expected, came) in cases {
        assert_eq!(
            read_all(phase, input, input.len()),
            Err(unexpected(expected, came))
        );
    }
}

#[test]
fn endless_line_ends_at_its_limit() {
    let endless = vec![b'x'; MAX_LINE_BYTES + 2];
    let error = WireError::LineTooLong {
        limit: MAX_LINE_BYTES,
        came: Excerpt::of(&endless),
    };
    assert_eq!(read_all(Phase::Requests, &endless, 4096), Err(error));
}

#[test]
fn mark_split_over_reads_is_found_once_and_bytes_after_it_belong_to_the_stream() {
    let mark: [u8; MARK_BYTES] = *b"0123456789012345678901234567890123456789";
    let almost = &mark[..39];
    let input = [
        b"$EOF:".as_slice(),
        &mark,
        b"\r\nREDIS",
        almost,
        &mark,
        b"*1\r\n$4\r\nPING\r\n",
    ]
    .concat();
    let items = read_all(Phase::Answers, &input, 11).unwrap();
    assert_eq!(
        items[1].body,
        Body::Payload([b"REDIS".as_slice(), almost].concat())
    );
    assert_eq!(items[2].body, command(&["PING"]));
}
