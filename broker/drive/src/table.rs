//! Connection slots: dense numbers for entries that never move.
//!
//! Entries live in pages, so that growing to a million connections never copies the table. A released slot is given out
//! again only after [`Table::end_turn`]: whatever was collected for it in this turn finds it empty.

/// Entries of a page.
const PAGE_SLOTS: usize = 1024;

/// A table of entries of type `C`; an unused slot holds `C::default()`.
#[derive(Debug)]
pub(crate) struct Table<C> {
    pages: Vec<Box<[C]>>,
    free: Vec<u32>,
    released: Vec<u32>,
    used: usize,
}

impl<C: Default> Table<C> {
    pub(crate) const fn new() -> Self {
        Self { pages: Vec::new(), free: Vec::new(), released: Vec::new(), used: 0 }
    }

    /// Slots in use.
    pub(crate) const fn used(&self) -> usize {
        self.used
    }

    /// Slots that exist, used or not.
    pub(crate) fn capacity(&self) -> u32 {
        u32::try_from(self.pages.len() * PAGE_SLOTS).expect("bounded by the number of descriptors")
    }

    /// A slot for a new entry. Its entry is what the last user left there.
    pub(crate) fn claim(&mut self) -> u32 {
        if self.free.is_empty() {
            let first = self.capacity();
            self.pages.push((0..PAGE_SLOTS).map(|_| C::default()).collect());
            // Low numbers first: they index other tables too, which then stay short.
            self.free.extend((first..self.capacity()).rev());
        }
        self.used += 1;
        self.free.pop().expect("a page was added")
    }

    /// Gives a slot back. The caller has reset its entry.
    pub(crate) fn release(&mut self, slot: u32) {
        self.used -= 1;
        self.released.push(slot);
    }

    /// Lets the slots released in this turn be claimed again.
    pub(crate) fn end_turn(&mut self) {
        self.free.append(&mut self.released);
    }

    /// The entry of a slot.
    ///
    /// # Panics
    /// If no such slot was ever claimed.
    pub(crate) fn at(&self, slot: u32) -> &C {
        &self.pages[slot as usize / PAGE_SLOTS][slot as usize % PAGE_SLOTS]
    }

    /// The entry of a slot.
    ///
    /// # Panics
    /// If no such slot was ever claimed.
    pub(crate) fn at_mut(&mut self, slot: u32) -> &mut C {
        &mut self.pages[slot as usize / PAGE_SLOTS][slot as usize % PAGE_SLOTS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_released_slot_is_reused_only_after_the_turn() {
        let mut table = Table::<u8>::new();
        let first = table.claim();
        assert_eq!(first, 0);
        table.release(first);
        let second = table.claim();
        assert_ne!(second, first);
        table.end_turn();
        assert_eq!(table.claim(), first);
        assert_eq!(table.used(), 2);
    }

    #[test]
    fn entries_stay_where_they_are() {
        let mut table = Table::<u64>::new();
        let slots: Vec<u32> = (0..5000).map(|_| table.claim()).collect();
        let address = std::ptr::from_ref(table.at(slots[0]));
        for slot in &slots {
            *table.at_mut(*slot) = u64::from(*slot);
        }
        assert_eq!(address, std::ptr::from_ref(table.at(slots[0])));
        assert!(slots.iter().all(|slot| *table.at(*slot) == u64::from(*slot)));
    }
}
