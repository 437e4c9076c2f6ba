//! What a connection has sent and we have not executed: bytes, and the commands in front of them.
//!
//! Commands of a pipeline are understood some at a time, so that the memory all of them will need is asked for before the
//! first of them has to wait for its own.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::resp::{Limits, ProtocolError, Request, RequestDecoder};

/// Commands that are understood ahead: about as many as a processor asks of its memory at once.
pub(crate) const AHEAD: usize = 16;

/// The input of one connection.
#[derive(Debug, Default)]
pub struct Input {
    bytes: BytesMut,
    decoder: RequestDecoder,
    ahead: VecDeque<Request>,
    ahead_bytes: usize,
    /// What the bytes behind those commands are instead of one; nothing is read after it.
    broken: Option<ProtocolError>,
}

impl Input {
    /// Nothing yet, with limits of your choice.
    pub fn new(limits: Limits) -> Self {
        Self {
            decoder: RequestDecoder::new(limits),
            ..Self::default()
        }
    }

    /// Changes the limits, for what is not yet understood.
    pub fn set_limits(&mut self, limits: Limits) {
        self.decoder.set_limits(limits);
    }

    /// Adds bytes; where there are none they become the input as they are.
    pub fn take_in(&mut self, bytes: Bytes) {
        if self.bytes.is_empty() {
            self.bytes = BytesMut::from(bytes);
        } else {
            self.bytes.extend_from_slice(&bytes);
        }
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.bytes.len() + self.ahead_bytes
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.ahead.is_empty()
    }

    /// Bytes of memory for it.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Understands the next commands if none is waiting. Those that it found are returned, to be prepared for together.
    pub fn look_ahead(&mut self) -> impl Iterator<Item = &Request> {
        let before = self.ahead.len();
        if before == 0 {
            self.decode_ahead();
        }
        self.ahead.range(before..)
    }

    fn decode_ahead(&mut self) {
        // Before the password one command may change what the next may be.
        let most = if self.decoder.limits().before_password {
            1
        } else {
            AHEAD
        };
        if self.broken.is_none() {
            let decoded = self
                .decoder
                .decode_up_to(most, &mut self.bytes, &mut self.ahead);
            self.broken = decoded.err();
            let lengths = self.ahead.iter().map(|request| request.wire_bytes);
            self.ahead_bytes = lengths.sum();
        }
    }

    /// Takes the next of the commands that were understood; `None` if more bytes have to come.
    pub fn take(&mut self) -> Result<Option<Request>, ProtocolError> {
        match self.ahead.pop_front() {
            Some(request) => {
                self.ahead_bytes -= request.wire_bytes;
                Ok(Some(request))
            }
            None => self.broken.take().map_or(Ok(None), Err),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(request: &Request) -> &[u8] {
        &request.args[0]
    }

    #[test]
    fn commands_come_in_order_and_what_is_wrong_behind_them_comes_last() {
        let mut input = Input::default();
        input.take_in(Bytes::from_static(b"one\r\ntwo\r\n*1\r\n$x\r\nthree\r\n"));
        let found: Vec<_> = input
            .look_ahead()
            .map(|request| request.wire_bytes)
            .collect();
        assert_eq!(found, [5, 5]);
        assert_eq!(input.look_ahead().count(), 0, "they are there already");
        assert_eq!(name(&input.take().unwrap().unwrap()), b"one");
        assert_eq!(name(&input.take().unwrap().unwrap()), b"two");
        assert_eq!(input.take(), Err(ProtocolError::BulkLength));
    }

    #[test]
    fn what_was_understood_ahead_still_waits() {
        let mut input = Input::default();
        let sent = Bytes::from("ping\r\n".repeat(AHEAD + 2));
        input.take_in(sent.clone());
        assert_eq!(input.look_ahead().count(), AHEAD);
        assert_eq!(input.len(), sent.len());
        input.take().unwrap();
        assert_eq!(input.len(), sent.len() - 6);
    }

    #[test]
    fn before_the_password_nothing_is_understood_ahead() {
        let mut input = Input::new(Limits::before_password());
        let long = "a".repeat(20_000);
        input.take_in(Bytes::from(format!(
            "auth x\r\n*2\r\n$4\r\necho\r\n$20000\r\n{long}\r\n"
        )));
        assert_eq!(input.look_ahead().count(), 1);
        input.take().unwrap();
        input.set_limits(Limits::default());
        assert_eq!(input.look_ahead().count(), 1);
        assert_eq!(input.take().unwrap().unwrap().args[1].len(), 20_000);
    }
}
