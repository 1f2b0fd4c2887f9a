//! Which operations of a thread belong to which upcall: by what identifies the packets, and by the
//! order in which vswitchd works (`handle_upcalls` of its ofproto/ofproto-dpif-upcall.c).

use std::collections::VecDeque;

use super::events::Cause;
use super::ident::Ident;

/// What belongs to an upcall.
#[derive(Clone, Debug, Default)]
pub(super) struct Operations {
    pub(super) put: Option<u64>,
    pub(super) execute: Option<u64>,
    pub(super) packet_execute: Option<u64>,
}

/// A thread. Upcalls are named by the ordinals of their `recv_upcall`s.
#[derive(Debug, Default)]
pub(super) struct Thread {
    batch: Vec<Member>,
    /// The member that operations have come to.
    at: usize,
    /// Puts since the last execute.
    puts: Vec<u64>,
    /// Executes that the kernel has not begun with; `None` for those of no upcall.
    executes: VecDeque<Option<usize>>,
    begun: bool,
}

#[derive(Debug)]
struct Member {
    recv: u64,
    of: Cause,
    packet: Ident,
    operations: Operations,
}

impl Thread {
    /// A batch begins with the first `recv_upcall` after an operation; `done` takes the one before.
    pub(super) fn recv(
        &mut self,
        recv: u64,
        of: Cause,
        packet: &Ident,
        done: impl FnMut(u64, Operations),
    ) {
        if self.begun {
            self.close(done);
        }
        let operations = Operations::default();
        self.batch.push(Member { recv, of, packet: packet.clone(), operations });
    }

    pub(super) fn put(&mut self, ordinal: u64) {
        self.begun = true;
        self.puts.push(ordinal);
    }

    pub(super) fn execute(&mut self, ordinal: u64, packet: &Ident) {
        self.begun = true;
        let ahead = &self.batch[self.at.min(self.batch.len())..];
        // Flows are put for misses only.
        let fits = |member: &Member| {
            member.packet == *packet && (self.puts.is_empty() || member.of == Cause::Miss)
        };
        let any = |member: &Member| member.packet == *packet;
        let found = ahead.iter().position(fits).or_else(|| ahead.iter().position(any));
        let Some(skipped) = found else {
            self.executes.push_back(None);
            return;
        };
        let own = self.at + skipped;
        // The put directly before an execute is of the same upcall.
        if self.batch[own].of == Cause::Miss {
            self.batch[own].operations.put = self.puts.pop();
        }
        self.give_puts(own);
        self.batch[own].operations.execute = Some(ordinal);
        self.executes.push_back(Some(own));
        self.at = own + 1;
    }

    pub(super) fn packet_execute(&mut self, ordinal: u64) {
        self.begun = true;
        if let Some(Some(member)) = self.executes.pop_front() {
            self.batch[member].operations.packet_execute = Some(ordinal);
        }
    }

    /// Gives the puts to the members before `end` that had no operation: their flows drop.
    fn give_puts(&mut self, end: usize) {
        let puts = std::mem::take(&mut self.puts);
        let is_miss = |member: &&mut Member| member.of == Cause::Miss;
        let misses: Vec<_> = self.batch[self.at..end].iter_mut().filter(is_miss).collect();
        if puts.len() == misses.len() {
            for (member, put) in misses.into_iter().zip(puts) {
                member.operations.put = Some(put);
            }
        }
    }

    /// Ends the batch.
    pub(super) fn close(&mut self, mut done: impl FnMut(u64, Operations)) {
        self.give_puts(self.batch.len());
        for member in self.batch.drain(..) {
            done(member.recv, member.operations);
        }
        self.executes.clear();
        self.at = 0;
        self.begun = false;
    }
}
