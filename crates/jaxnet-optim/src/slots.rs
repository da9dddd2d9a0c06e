//! What rules remember.

use std::collections::BTreeMap;

use jaxnet_tensor::{Error, Tensor, raise};

/// What a rule remembers, by name: lists with a tensor for each parameter, single tensors, and the slots of
/// rules inside it.
///
/// A rule that contains others gives each the slots under a name of its own, by [`inner`](Self::inner); in the
/// state the names are joined by dots, as in `slots.1.mean`.
#[derive(Clone, Debug, Default)]
pub struct Slots {
    lists: BTreeMap<String, Vec<Tensor>>,
    scalars: BTreeMap<String, Tensor>,
    inner: BTreeMap<String, Slots>,
}

static EMPTY: Slots = Slots { lists: BTreeMap::new(), scalars: BTreeMap::new(), inner: BTreeMap::new() };

impl Slots {
    /// Puts in a list with a tensor for each parameter.
    ///
    /// # Panics
    ///
    /// If there is a dot in the name.
    #[track_caller]
    pub fn put(&mut self, name: &str, list: Vec<Tensor>) {
        self.lists.insert(plain(name), list);
    }

    /// Takes out a list that was put in under this name.
    ///
    /// # Panics
    ///
    /// If there is none, as in the state of another optimizer.
    #[track_caller]
    pub fn take(&mut self, name: &str) -> Vec<Tensor> {
        self.lists.remove(name).unwrap_or_else(|| self.missing(name))
    }

    /// Puts in a single tensor.
    ///
    /// # Panics
    ///
    /// If there is a dot in the name.
    #[track_caller]
    pub fn put_scalar(&mut self, name: &str, value: Tensor) {
        self.scalars.insert(plain(name), value);
    }

    /// Takes out a single tensor that was put in under this name.
    ///
    /// # Panics
    ///
    /// If there is none, as in the state of another optimizer.
    #[track_caller]
    pub fn take_scalar(&mut self, name: &str) -> Tensor {
        self.scalars.remove(name).unwrap_or_else(|| self.missing(name))
    }

    /// A single tensor that was put in under this name, which stays.
    ///
    /// # Panics
    ///
    /// If there is none, as in the state of another optimizer.
    #[track_caller]
    pub fn scalar(&self, name: &str) -> &Tensor {
        self.scalars.get(name).unwrap_or_else(|| self.missing(name))
    }

    /// The slots of a rule inside this one.
    ///
    /// # Panics
    ///
    /// If there is a dot in the name.
    #[track_caller]
    pub fn inner(&mut self, name: &str) -> &mut Slots {
        self.inner.entry(plain(name)).or_default()
    }

    /// As [`inner`](Self::inner), to look at.
    pub fn get_inner(&self, name: &str) -> &Slots {
        self.inner.get(name).unwrap_or(&EMPTY)
    }

    #[track_caller]
    fn missing<T>(&self, name: &str) -> T {
        let mut have: Vec<&str> = self.lists.keys().chain(self.scalars.keys()).map(String::as_str).collect();
        have.extend(self.inner.keys().map(String::as_str));
        let have = if have.is_empty() { "nothing".to_string() } else { format!("`{}`", have.join("`, `")) };
        raise(Error::tree(
            "slots",
            format!(
                "the optimizer needs `{name}`, but the state holds {have}; was it made by another optimizer's `init`?"
            ),
        ))
    }

    /// From names with dots, as a state has them.
    pub(crate) fn nested(lists: BTreeMap<String, Vec<Tensor>>, scalars: BTreeMap<String, Tensor>) -> Slots {
        let mut slots = Slots::default();
        for (name, list) in lists {
            let (at, name) = slots.descend(&name);
            at.lists.insert(name, list);
        }
        for (name, scalar) in scalars {
            let (at, name) = slots.descend(&name);
            at.scalars.insert(name, scalar);
        }
        slots
    }

    fn descend(&mut self, path: &str) -> (&mut Slots, String) {
        match path.split_once('.') {
            None => (self, path.to_string()),
            Some((first, rest)) => self.inner.entry(first.to_string()).or_default().descend(rest),
        }
    }

    /// To names with dots.
    pub(crate) fn flat(self) -> (BTreeMap<String, Vec<Tensor>>, BTreeMap<String, Tensor>) {
        let (mut lists, mut scalars) = (self.lists, self.scalars);
        for (name, inner) in self.inner {
            let (inner_lists, inner_scalars) = inner.flat();
            lists.extend(inner_lists.into_iter().map(|(below, list)| (format!("{name}.{below}"), list)));
            scalars.extend(inner_scalars.into_iter().map(|(below, scalar)| (format!("{name}.{below}"), scalar)));
        }
        (lists, scalars)
    }

    /// Leaves of each list what belongs to the parameters with these numbers, which ascend, and gives the rest.
    pub(crate) fn split_off(&mut self, own: &[usize]) -> Slots {
        let mut rest = Slots::default();
        for (name, list) in &mut self.lists {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for (i, tensor) in std::mem::take(list).into_iter().enumerate() {
                if own.binary_search(&i).is_ok() { &mut ours } else { &mut theirs }.push(tensor);
            }
            *list = ours;
            rest.lists.insert(name.clone(), theirs);
        }
        for (name, inner) in &mut self.inner {
            rest.inner.insert(name.clone(), inner.split_off(own));
        }
        rest
    }

    /// The reverse of [`split_off`](Self::split_off), for `count` parameters. What is in no list yet is a zero
    /// for each of the other parameters.
    pub(crate) fn merge(&mut self, rest: &mut Slots, own: &[usize], count: usize) {
        for (name, list) in &mut self.lists {
            let others = rest.lists.remove(name).unwrap_or_else(|| {
                // Lists have a tensor for each parameter; this one is never looked at.
                vec![Tensor::scalar(0_f32); count - own.len()]
            });
            let (mut ours, mut theirs) = (std::mem::take(list).into_iter(), others.into_iter());
            let side = |i| if own.binary_search(&i).is_ok() { ours.next() } else { theirs.next() };
            *list = (0..count).filter_map(side).collect();
        }
        for (name, inner) in &mut self.inner {
            inner.merge(rest.inner(name), own, count);
        }
    }

    /// Where `condition` holds these, else those, which have the same names.
    pub(crate) fn select(condition: &Tensor, these: &Slots, those: Slots) -> Slots {
        let lists = those.lists.into_iter().map(|(name, list)| {
            let new = these.lists.get(&name).unwrap_or_else(|| these.missing(&name));
            let chosen = new.iter().zip(list).map(|(a, b)| condition.select(a, b)).collect();
            (name, chosen)
        });
        let scalars = those.scalars.into_iter().map(|(name, old)| {
            let new = these.scalar(&name);
            let chosen = condition.select(new, old);
            (name, chosen)
        });
        let inner = those.inner.into_iter().map(|(name, inner)| {
            let chosen = Slots::select(condition, these.get_inner(&name), inner);
            (name, chosen)
        });
        Slots { lists: lists.collect(), scalars: scalars.collect(), inner: inner.collect() }
    }
}

#[track_caller]
fn plain(name: &str) -> String {
    if name.contains('.') {
        raise(Error::invalid("slots", format!("`{name}` has a dot, which joins the names of rules inside rules")));
    }
    name.to_string()
}
