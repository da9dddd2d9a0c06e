//! A bounded cache.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Remembers values by key, and forgets those that were not asked for the longest when it is full.
///
/// # Examples
///
/// ```
/// use jaxnet_tensor::Memo;
///
/// let squares = Memo::new(2);
/// let square = |x: u64| squares.get_or_try_insert(x, |x| Ok::<_, ()>(x * x)).unwrap();
/// assert_eq!((square(3), square(4), square(5)), (9, 16, 25));
/// assert_eq!(squares.len(), 2);
/// ```
pub struct Memo<K, V> {
    entries: Mutex<Entries<K, V>>,
    capacity: usize,
}

struct Entries<K, V> {
    map: HashMap<K, (V, u64)>,
    clock: u64,
}

impl<K: Hash + Eq + Clone, V: Clone> Memo<K, V> {
    /// A cache for at most `capacity` values, at least one.
    pub fn new(capacity: usize) -> Self {
        Memo { entries: Mutex::new(Entries { map: HashMap::new(), clock: 0 }), capacity: capacity.max(1) }
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.lock().map.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of the key, if it is there.
    pub fn get(&self, key: &K) -> Option<V> {
        let mut entries = self.lock();
        entries.clock += 1;
        let clock = entries.clock;
        let (value, used) = entries.map.get_mut(key)?;
        *used = clock;
        Some(value.clone())
    }

    /// The value of the key, made by `make` if it is not there.
    ///
    /// The cache is not locked meanwhile; if two threads make a value, one of them stays.
    ///
    /// # Errors
    ///
    /// What `make` returns; nothing is remembered then.
    pub fn get_or_try_insert<E>(&self, key: K, make: impl FnOnce(&K) -> Result<V, E>) -> Result<V, E> {
        if let Some(value) = self.get(&key) {
            return Ok(value);
        }
        let value = make(&key)?;
        let mut entries = self.lock();
        entries.clock += 1;
        let clock = entries.clock;
        if entries.map.len() >= self.capacity && !entries.map.contains_key(&key) {
            // Half of it goes at once, so that a full cache costs little per insertion.
            let mut used: Vec<u64> = entries.map.values().map(|(_, used)| *used).collect();
            used.sort_unstable();
            let oldest_kept = used[used.len().div_ceil(2).min(used.len() - 1)];
            let keep = |used: u64| used >= oldest_kept && self.capacity > 1;
            entries.map.retain(|_, (_, used)| keep(*used));
        }
        Ok(entries.map.entry(key).or_insert((value, clock)).0.clone())
    }

    /// Forgets the values whose keys are not to be kept.
    pub fn retain(&self, keep: impl Fn(&K) -> bool) {
        self.lock().map.retain(|key, _| keep(key));
    }

    fn lock(&self) -> MutexGuard<'_, Entries<K, V>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
