//! Paged storage with stable `u32` keys.
//!
//! [`Pages`] is a growing array that never moves an element: it adds a page where a vector would copy everything, so
//! that the millionth session costs no more than the first. [`Slab`] reuses freed places and numbers their occupants,
//! so that a key held too long is recognised.
//!
//! Absent: shrinking. Freed places are reused, their memory is not given back.

use alloc::vec::Vec;

/// Elements in one page.
pub const PAGE_ELEMENTS: usize = 1024;

const PAGE_BITS: u32 = PAGE_ELEMENTS.trailing_zeros();
const PAGE_MASK: usize = PAGE_ELEMENTS - 1;

/// End of a free list; never a key.
const NONE: u32 = u32::MAX;

/// A growing array in pages of [`PAGE_ELEMENTS`]. Elements never move once a second page exists.
#[derive(Debug)]
pub struct Pages<T> {
    pages: Vec<Vec<T>>,
    len: u32,
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self { pages: Vec::new(), len: 0 }
    }
}

impl<T> Pages<T> {
    /// Elements ever pushed.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// True before the first push.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends an element and returns its index. The first page grows as a vector does, so that a small store stays
    /// small; each later one is reserved whole.
    ///
    /// # Panics
    /// With 2^32 - 1 elements.
    pub fn push(&mut self, element: T) -> u32 {
        assert!(self.len < NONE, "paged array is full");
        let index = self.len;
        let page = index as usize >> PAGE_BITS;
        if page == self.pages.len() {
            self.pages.push(if page == 0 { Vec::new() } else { Vec::with_capacity(PAGE_ELEMENTS) });
        }
        self.pages[page].push(element);
        self.len += 1;
        index
    }

    /// The element at `index`.
    #[must_use]
    #[inline]
    pub fn get(&self, index: u32) -> Option<&T> {
        self.pages.get(index as usize >> PAGE_BITS)?.get(index as usize & PAGE_MASK)
    }

    /// The element at `index`, to change it.
    #[must_use]
    #[inline]
    pub fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.pages.get_mut(index as usize >> PAGE_BITS)?.get_mut(index as usize & PAGE_MASK)
    }

    /// All elements in order of their indices.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flatten()
    }
}

impl<T> core::ops::Index<u32> for Pages<T> {
    type Output = T;

    #[inline]
    fn index(&self, index: u32) -> &T {
        &self.pages[index as usize >> PAGE_BITS][index as usize & PAGE_MASK]
    }
}

impl<T> core::ops::IndexMut<u32> for Pages<T> {
    #[inline]
    fn index_mut(&mut self, index: u32) -> &mut T {
        &mut self.pages[index as usize >> PAGE_BITS][index as usize & PAGE_MASK]
    }
}

#[derive(Debug)]
struct Slot<T> {
    /// Counts occupants of this slot, wrapping. Raised when an occupant leaves.
    generation: u32,
    content: Content<T>,
}

#[derive(Debug)]
enum Content<T> {
    Vacant { next: u32 },
    Occupied(T),
}

/// Values under `u32` keys, which are reused after removal; the generation tells one occupant from the next.
#[derive(Debug)]
pub struct Slab<T> {
    slots: Pages<Slot<T>>,
    free: u32,
    len: u32,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { slots: Pages::default(), free: NONE, len: 0 }
    }
}

impl<T> Slab<T> {
    /// An empty slab, without memory of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Values held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// True if no value is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Places there are, occupied or not: one more than the largest key so far.
    #[must_use]
    pub fn slots(&self) -> u32 {
        self.slots.len()
    }

    /// Stores a value and returns its key: the place freed last, or a new one.
    ///
    /// # Panics
    /// With 2^32 - 1 values.
    pub fn insert(&mut self, value: T) -> u32 {
        self.len += 1;
        if self.free == NONE {
            return self.slots.push(Slot { generation: 0, content: Content::Occupied(value) });
        }
        let key = self.free;
        let slot = &mut self.slots[key];
        let Content::Vacant { next } = slot.content else { panic!("occupied slot on the free list") };
        self.free = next;
        slot.content = Content::Occupied(value);
        key
    }

    /// Takes a value out. Its key may be given to another value from now on.
    pub fn remove(&mut self, key: u32) -> Option<T> {
        let slot = self.slots.get_mut(key)?;
        if matches!(slot.content, Content::Vacant { .. }) {
            return None;
        }
        let content = core::mem::replace(&mut slot.content, Content::Vacant { next: self.free });
        slot.generation = slot.generation.wrapping_add(1);
        self.free = key;
        self.len -= 1;
        match content {
            Content::Occupied(value) => Some(value),
            Content::Vacant { .. } => None,
        }
    }

    /// The value under `key`, whichever generation it is.
    #[must_use]
    #[inline]
    pub fn get(&self, key: u32) -> Option<&T> {
        match &self.slots.get(key)?.content {
            Content::Occupied(value) => Some(value),
            Content::Vacant { .. } => None,
        }
    }

    /// The value under `key`, to change it.
    #[must_use]
    #[inline]
    pub fn get_mut(&mut self, key: u32) -> Option<&mut T> {
        match &mut self.slots.get_mut(key)?.content {
            Content::Occupied(value) => Some(value),
            Content::Vacant { .. } => None,
        }
    }

    /// The generation of the value under `key`; `None` if there is no value.
    #[must_use]
    #[inline]
    pub fn generation(&self, key: u32) -> Option<u32> {
        let slot = self.slots.get(key)?;
        matches!(slot.content, Content::Occupied(_)).then_some(slot.generation)
    }

    /// The value under `key` if it is still the one of that generation.
    #[must_use]
    #[inline]
    pub fn get_generation(&self, key: u32, generation: u32) -> Option<&T> {
        match self.slots.get(key)? {
            Slot { generation: current, content: Content::Occupied(value) } if *current == generation => Some(value),
            _ => None,
        }
    }

    /// The value under `key` if it is still the one of that generation, to change it.
    #[must_use]
    #[inline]
    pub fn get_generation_mut(&mut self, key: u32, generation: u32) -> Option<&mut T> {
        match self.slots.get_mut(key)? {
            Slot { generation: current, content: Content::Occupied(value) } if *current == generation => Some(value),
            _ => None,
        }
    }

    /// All values with their keys, in order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.slots.iter().enumerate().filter_map(|(key, slot)| match &slot.content {
            Content::Occupied(value) => Some((u32::try_from(key).ok()?, value)),
            Content::Vacant { .. } => None,
        })
    }

    /// All places from `from` on, with the value of each that holds one: for walks whose every step is to be counted.
    pub fn slots_from(&self, from: u32) -> impl Iterator<Item = (u32, Option<&T>)> {
        (from..self.slots.len()).map(|key| (key, self.get(key)))
    }

    /// Keys from `from` on that hold a value; with a stop after some of them, a walk that can be continued later.
    pub fn keys_from(&self, from: u32) -> impl Iterator<Item = u32> {
        (from..self.slots.len()).filter(|key| self.get(*key).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::Slab;
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn behaves_as_a_map_with_generations(steps in prop::collection::vec((any::<bool>(), any::<u16>()), 0..4000)) {
            let mut slab = Slab::new();
            let mut model: BTreeMap<u32, (u32, u16)> = BTreeMap::new();
            let mut gone: Vec<(u32, u32)> = Vec::new();
            for (insert, number) in steps {
                if insert || model.is_empty() {
                    let key = slab.insert(number);
                    let generation = slab.generation(key).unwrap();
                    prop_assert!(model.insert(key, (generation, number)).is_none(), "key handed out twice");
                } else {
                    let (&key, &(generation, value)) = model.iter().nth(number as usize % model.len()).unwrap();
                    prop_assert_eq!(slab.get_generation(key, generation), Some(&value));
                    prop_assert_eq!(slab.remove(key), Some(value));
                    prop_assert_eq!(slab.remove(key), None);
                    model.remove(&key);
                    gone.push((key, generation));
                }
                prop_assert_eq!(slab.len(), model.len());
            }
            for (key, generation) in gone {
                prop_assert_eq!(slab.get_generation(key, generation), None);
            }
            let held: Vec<(u32, u16)> = slab.iter().map(|(key, value)| (key, *value)).collect();
            let expected: Vec<(u32, u16)> = model.iter().map(|(key, (_, value))| (*key, *value)).collect();
            prop_assert_eq!(held, expected);
            prop_assert_eq!(slab.keys_from(0).count(), model.len());
            let places: Vec<(u32, Option<&u16>)> = slab.slots_from(0).collect();
            prop_assert!(places.iter().enumerate().all(|(at, (key, _))| at == *key as usize));
            prop_assert_eq!(places.iter().filter(|(_, value)| value.is_some()).count(), model.len());
            prop_assert_eq!(slab.slots_from(2).count(), places.len().saturating_sub(2));
        }
    }
}
