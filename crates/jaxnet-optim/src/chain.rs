//! Rules one after another.

use jaxnet_tensor::Tensor;

use crate::rule::{Leaves, UpdateRule};
use crate::slots::Slots;

/// The product of the rates of those that have one.
fn product(rates: impl Iterator<Item = Option<Tensor>>) -> Option<Tensor> {
    rates.flatten().reduce(|a, b| a * b)
}

/// Rules in a row: what one makes is given to the next.
impl<R: UpdateRule> UpdateRule for Vec<R> {
    fn rate(&self, step: &Tensor, slots: &Slots) -> Option<Tensor> {
        product(self.iter().enumerate().map(|(i, rule)| rule.rate(step, slots.get_inner(&i.to_string()))))
    }

    fn init_slots(&self, params: &Leaves, slots: &mut Slots) {
        for (i, rule) in self.iter().enumerate() {
            rule.init_slots(params, slots.inner(&i.to_string()));
        }
    }

    fn updates(&self, gradients: Vec<Tensor>, params: &Leaves, step: &Tensor, slots: &mut Slots) -> Vec<Tensor> {
        self.iter()
            .enumerate()
            .fold(gradients, |updates, (i, rule)| rule.updates(updates, params, step, slots.inner(&i.to_string())))
    }
}

macro_rules! tuples {
    ($(($($R:ident $i:tt),*))*) => {$(
        /// Rules in a row: what one makes is given to the next.
        impl<$($R: UpdateRule),*> UpdateRule for ($($R,)*) {
            fn rate(&self, step: &Tensor, slots: &Slots) -> Option<Tensor> {
                product([$(self.$i.rate(step, slots.get_inner(stringify!($i)))),*].into_iter())
            }
            fn init_slots(&self, params: &Leaves, slots: &mut Slots) {
                $(self.$i.init_slots(params, slots.inner(stringify!($i)));)*
            }
            fn updates(&self, gradients: Vec<Tensor>, params: &Leaves, step: &Tensor, slots: &mut Slots) -> Vec<Tensor> {
                let updates = gradients;
                $(let updates = self.$i.updates(updates, params, step, slots.inner(stringify!($i)));)*
                updates
            }
        }
    )*};
}

tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
}
