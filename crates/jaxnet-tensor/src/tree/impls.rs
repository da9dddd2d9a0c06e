//! Trees among Rust's own types.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;

use super::{Flattener, Tree, Unflattener};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

impl Tree for Tensor {
    fn flatten(&self, to: &mut Flattener) {
        to.leaf(self);
    }
    fn unflatten(from: &mut Unflattener<'_>) -> Result<Self> {
        from.leaf()
    }
}

impl<T: Tree> Tree for Box<T> {
    fn flatten(&self, to: &mut Flattener) {
        (**self).flatten(to);
    }
    fn unflatten(from: &mut Unflattener<'_>) -> Result<Self> {
        T::unflatten(from).map(Box::new)
    }
}

impl<T: Tree> Tree for Option<T> {
    fn flatten(&self, to: &mut Flattener) {
        match self {
            None => to.node("option", 0),
            Some(child) => {
                to.node("option", 1);
                child.flatten(to);
            }
        }
    }
    fn unflatten(from: &mut Unflattener<'_>) -> Result<Self> {
        match from.node("option")? {
            0 => Ok(None),
            _ => T::unflatten(from).map(Some),
        }
    }
}

impl<T: Tree> Tree for Vec<T> {
    fn flatten(&self, to: &mut Flattener) {
        to.node("list", self.len());
        for (i, child) in self.iter().enumerate() {
            to.element(i, child);
        }
    }
    fn unflatten(from: &mut Unflattener<'_>) -> Result<Self> {
        let len = from.node("list")?;
        (0..len).map(|i| from.element(i)).collect()
    }
}

impl<T: Tree, const N: usize> Tree for [T; N] {
    fn flatten(&self, to: &mut Flattener) {
        to.node("list", N);
        for (i, child) in self.iter().enumerate() {
            to.element(i, child);
        }
    }
    fn unflatten(from: &mut Unflattener<'_>) -> Result<Self> {
        from.node_of("list", N)?;
        let children = (0..N).map(|i| from.element(i)).collect::<Result<Vec<T>>>()?;
        children.try_into().map_err(|_| Error::tree("", "an array of another length"))
    }
}

impl<T: Tree> Tree for BTreeMap<String, T> {
    fn flatten(&self, to: &mut Flattener) {
        to.node("map", self.len());
        for (name, child) in self {
            to.field(name, child);
        }
    }
    fn unflatten(from: &mut Unflattener<'_>) -> Result<Self> {
        let len = from.node("map")?;
        (0..len).map(|_| from.named(|name, from| Ok((name.to_string(), T::unflatten(from)?)))).collect()
    }
}

/// In the order of the keys, whatever the map's own.
impl<T: Tree, S: BuildHasher + Default + 'static> Tree for HashMap<String, T, S> {
    fn flatten(&self, to: &mut Flattener) {
        to.node("map", self.len());
        let mut entries: Vec<_> = self.iter().collect();
        entries.sort_unstable_by_key(|(name, _)| *name);
        for (name, child) in entries {
            to.field(name, child);
        }
    }
    fn unflatten(from: &mut Unflattener<'_>) -> Result<Self> {
        let len = from.node("map")?;
        (0..len).map(|_| from.named(|name, from| Ok((name.to_string(), T::unflatten(from)?)))).collect()
    }
}

impl<T: 'static> Tree for std::marker::PhantomData<T> {
    fn flatten(&self, to: &mut Flattener) {
        to.node("tuple", 0);
    }
    fn unflatten(from: &mut Unflattener<'_>) -> Result<Self> {
        from.node_of("tuple", 0)?;
        Ok(Self)
    }
}

macro_rules! tuples {
    ($($len:literal: $($T:ident $i:tt)*;)*) => {$(
        impl<$($T: Tree),*> Tree for ($($T,)*) {
            fn flatten(&self, to: &mut Flattener) {
                to.node("tuple", $len);
                $(to.element($i, &self.$i);)*
            }
            fn unflatten(from: &mut Unflattener<'_>) -> Result<Self> {
                from.node_of("tuple", $len)?;
                Ok(($(from.element::<$T>($i)?,)*))
            }
        }
    )*};
}

tuples! {
    0: ;
    1: A 0;
    2: A 0 B 1;
    3: A 0 B 1 C 2;
    4: A 0 B 1 C 2 D 3;
    5: A 0 B 1 C 2 D 3 E 4;
    6: A 0 B 1 C 2 D 3 E 4 F 5;
    7: A 0 B 1 C 2 D 3 E 4 F 5 G 6;
    8: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7;
}
