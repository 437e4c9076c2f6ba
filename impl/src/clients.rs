//! The connections, in the order in which they came.
//!
//! A command asks for its connection many times, and the next command is mostly of the same one: the latest that was asked
//! for is found at once, every other by halving.

use std::cell::Cell;
use std::ops::Index;

use crate::client::Client;
use crate::event::ClientId;

/// All connections by name.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    /// In the order of the names. A box keeps what is moved small when one in front goes.
    sorted: Vec<(ClientId, Box<Client>)>,
    /// Where the latest one that was asked for stands, unless some have gone since.
    latest: Cell<usize>,
}

impl Clients {
    /// Where a connection stands, or where it would.
    fn place(&self, id: ClientId) -> Result<usize, usize> {
        let latest = self.latest.get();
        if self.sorted.get(latest).is_some_and(|(name, _)| *name == id) {
            return Ok(latest);
        }
        let place = self.sorted.binary_search_by_key(&id, |(name, _)| *name)?;
        self.latest.set(place);
        Ok(place)
    }

    pub(crate) fn get(&self, id: ClientId) -> Option<&Client> {
        let place = self.place(id).ok()?;
        Some(&*self.sorted[place].1)
    }

    pub(crate) fn get_mut(&mut self, id: ClientId) -> Option<&mut Client> {
        let place = self.place(id).ok()?;
        Some(&mut *self.sorted[place].1)
    }

    pub(crate) fn contains_key(&self, id: ClientId) -> bool {
        self.place(id).is_ok()
    }

    /// Takes in a connection in the place of one with its name.
    pub(crate) fn insert(&mut self, client: Client) {
        let slot = (client.id, Box::new(client));
        match self.place(slot.0) {
            Ok(place) => self.sorted[place] = slot,
            Err(place) => self.sorted.insert(place, slot),
        }
    }

    pub(crate) fn remove(&mut self, id: ClientId) -> Option<Client> {
        let place = self.place(id).ok()?;
        Some(*self.sorted.remove(place).1)
    }

    pub(crate) fn len(&self) -> usize {
        self.sorted.len()
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &ClientId> {
        self.sorted.iter().map(|(id, _)| id)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &Client> {
        self.sorted.iter().map(|(_, client)| &**client)
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut Client> {
        self.sorted.iter_mut().map(|(_, client)| &mut **client)
    }
}

impl Index<&ClientId> for Clients {
    type Output = Client;

    /// The connection of that name, which must be there.
    fn index(&self, id: &ClientId) -> &Client {
        self.get(*id).expect("the caller has just seen it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Peer;

    #[test]
    fn each_is_found_whoever_came_and_went_before() {
        let mut clients = Clients::default();
        for number in [1, 2, 5, 9, 4] {
            clients.insert(Client::new(ClientId(number), Peer::Unix("".into()), 0));
        }
        for asked in [9, 4, 4, 1, 3, 2] {
            let found = clients.get(ClientId(asked)).map(|client| client.id);
            assert_eq!(found, (asked != 3).then_some(ClientId(asked)));
        }
        assert!(clients.remove(ClientId(2)).is_some() && clients.remove(ClientId(2)).is_none());
        let left: Vec<_> = clients.keys().map(|id| id.0).collect();
        assert_eq!(left, [1, 4, 5, 9]);
        assert!(
            left.iter()
                .all(|id| clients.get_mut(ClientId(*id)).is_some())
        );
        assert_eq!(
            (clients.len(), clients.contains_key(ClientId(2))),
            (4, false)
        );
    }
}
