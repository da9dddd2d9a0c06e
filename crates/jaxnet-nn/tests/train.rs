//! What training loops use: batches, checkpoints, metrics.

mod common;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use common::*;
use jaxnet_nn::prelude::*;
use jaxnet_nn::train::*;

fn rows(batches: impl Iterator<Item = Result<Tensor>>) -> Vec<Vec<i32>> {
    batches.map(|batch| batch.unwrap().to_vec()).collect()
}

#[test]
fn an_epoch_has_every_row_once() {
    for (count, size) in [(10, 4), (12, 4), (3, 4), (1, 1), (5, 5), (0, 2)] {
        for prefetch in [0, 1, 2, 9] {
            let loader = || Loader::new(Tensor::range(count), size).prefetch(prefetch);
            let expected: Vec<i32> = (0..count as i32).collect();
            let whole = rows(loader().keep_last().epoch(0));
            assert_eq!(whole.concat(), expected);
            assert_eq!(whole.len(), loader().keep_last().len());

            let full: Vec<Vec<i32>> = expected.chunks_exact(size).map(<[i32]>::to_vec).collect();
            assert_eq!(rows(loader().epoch(3)), full, "leftover rows are dropped");
            assert_eq!(loader().len(), full.len());
            assert_eq!(loader().epoch(0).len(), full.len());
            assert_eq!(loader().is_empty(), full.is_empty());

            let shuffled = loader().keep_last().shuffled(Key::new(1));
            let mut all = rows(shuffled.epoch(0)).concat();
            all.sort_unstable();
            assert_eq!(all, expected);
        }
    }
}

#[test]
fn the_order_follows_from_the_key_and_the_epoch() {
    let loader = |seed, prefetch| Loader::new(Tensor::range(50), 7).shuffled(Key::new(seed)).prefetch(prefetch);
    let epochs = |loader: &Loader<Tensor>| -> Vec<_> { (0..3).map(|epoch| rows(loader.epoch(epoch))).collect() };
    let first = epochs(&loader(0, 2));
    assert_eq!(first, epochs(&loader(0, 0)), "with a thread and without one");
    assert_ne!(first, epochs(&loader(1, 2)));
    assert_ne!(first[0], first[1]);
    assert_ne!(first[1], first[2]);

    let all = first.concat();
    let loader = loader(0, 2);
    for step in 0..=14 {
        let rest = rows(loader.rest_of_epoch(step));
        assert_eq!(rest, all[step..(step / 7 + 1) * 7], "after {step} batches");
        assert!(!rest.is_empty());
    }
    assert_eq!(loader.rest_of_epoch(5).len(), 2);
    assert_eq!(rows(Loader::new(Tensor::range(2), 3).rest_of_epoch(5)), Vec::<Vec<i32>>::new());
}

/// Fails at some rows, and counts what is read.
struct Files(std::sync::Arc<AtomicUsize>);

impl Dataset for Files {
    type Batch = Tensor;

    fn rows(&self) -> usize {
        100
    }

    fn batch(&self, rows: &[usize]) -> Result<Tensor> {
        self.0.fetch_add(1, Ordering::SeqCst);
        match rows[0] {
            20 => Err(Error::format("PNG", "row 20 is damaged")),
            80 => Ok(Tensor::zeros([2]).matmul(Tensor::zeros([3]))),
            90 => panic!("a mistake"),
            first => Ok(Tensor::scalar(first as i32)),
        }
    }
}

#[test]
fn what_goes_wrong_in_the_thread_arrives() {
    for prefetch in [0, 3] {
        let read = std::sync::Arc::new(AtomicUsize::new(0));
        let loader = Loader::new(Files(read.clone()), 10).prefetch(prefetch);
        let mut batches = loader.epoch(0);
        assert_eq!(batches.by_ref().take(2).map(|x| x.unwrap().item::<i32>()).collect::<Vec<_>>(), [0, 10]);
        assert!(batches.next().unwrap().unwrap_err().to_string().contains("row 20 is damaged"));
        assert_eq!(batches.next().unwrap().unwrap().item::<i32>(), 30, "it can go on");
        let raised = batches.nth(4).unwrap().unwrap_err().to_string();
        assert!(raised.contains("matmul"), "{raised}");
        let panicked = catch_unwind(AssertUnwindSafe(|| batches.next())).expect_err("a panic");
        assert_eq!(panicked.downcast_ref::<&str>(), Some(&"a mistake"));

        // Left early: the thread ends, and has made no more than it was allowed to.
        read.store(0, Ordering::SeqCst);
        let mut batches = loader.epoch(0);
        batches.next().unwrap().unwrap();
        drop(batches);
        assert!(read.load(Ordering::SeqCst) <= 1 + prefetch + 1);
    }
}

#[test]
fn bad_data_sets_are_refused() {
    let refused = |f: &dyn Fn()| message(f);
    assert!(refused(&|| drop(Loader::new(Tensor::range(3), 0))).contains("at least one row"));
    let mixed = refused(&|| drop(Loader::new((Tensor::range(3), Tensor::zeros([4, 2])), 1)));
    assert!(mixed.contains("i32[3], f32[4,2]"), "{mixed}");
    assert!(refused(&|| drop(Loader::new(Tensor::zeros([]), 1))).contains("leading axes"));
    assert!(refused(&|| drop(Loader::new((), 1))).contains("leading axes"));
}

#[test]
fn a_batch_comes_on_the_device() {
    let loader = Loader::new((Tensor::range(4), vec![Tensor::ones([4, 2])]), 2).to_device(&Device::cpu());
    let (x, ones) = loader.epoch(0).nth(1).unwrap().unwrap();
    assert_eq!(x.device(), Some(&Device::cpu()));
    assert_eq!((x.to_vec::<i32>(), ones[0].shape().dims()), (vec![2, 3], &[2, 2][..]));
}

#[test]
fn checkpoints_are_kept_as_asked() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("a/b");
    let checkpoints = Checkpoints::new(&inner).unwrap();
    assert_eq!(checkpoints.folder(), inner);
    assert!(checkpoints.latest::<Tensor>().unwrap().is_none());
    for step in [9, 10, 100] {
        checkpoints.save(step, &Tensor::from(step as i32)).unwrap();
    }
    assert_eq!(checkpoints.steps().unwrap(), [9, 10, 100], "all are kept, in the order of numbers");
    assert_eq!(checkpoints.load::<Tensor>(10).unwrap().item::<i32>(), 10);

    // What is not ours stays; what a killed program left does not.
    let other = ["notes.txt", "checkpoint-7.safetensors", "checkpoint-x.safetensors"];
    for name in other.iter().chain(&[".jaxnet-abc"]) {
        std::fs::write(inner.join(name), "?").unwrap();
    }
    let few = checkpoints.keep(1).keep_every(10);
    few.save(101, &Tensor::from(0)).unwrap();
    assert_eq!(few.steps().unwrap(), [10, 100, 101]);
    few.save(101, &Tensor::from(1)).unwrap();
    assert_eq!(few.latest::<Tensor>().unwrap().map(|(step, x)| (step, x.item::<i32>())), Some((101, 1)));
    // Going back: the new one is kept, though it is not the latest.
    few.save(99, &Tensor::from(2)).unwrap();
    assert_eq!(few.steps().unwrap(), [10, 99, 100, 101]);
    assert!(other.iter().all(|name| inner.join(name).exists()));
    assert!(!inner.join(".jaxnet-abc").exists());
}

#[test]
fn a_checkpoint_of_something_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::new(folder.path()).unwrap();
    let params = |size| Dense::new(size).init_params(Key::new(0), &Tensor::zeros([1, 3]));
    checkpoints.save(1, &params(2)).unwrap();
    assert!(checkpoints.latest_like(&params(2)).unwrap().is_some());
    let error = checkpoints.latest_like(&params(4)).unwrap_err().to_string();
    assert!(error.contains("kernel"), "{error}");
    assert!(checkpoints.latest::<(Tensor, Tensor)>().is_err());

    let path = checkpoints.path(2);
    std::fs::write(&path, "damaged").unwrap();
    let error = checkpoints.latest::<Params>().unwrap_err().to_string();
    assert!(error.contains("checkpoint-0000000002"), "{error}");
    // A file where the folder should be.
    assert!(Checkpoints::new(&path).unwrap_err().to_string().contains("checkpoint-0000000002"));
    // A save that fails leaves all as it was.
    let failure = RefCell::new(None);
    jit(|x: Tensor| {
        *failure.borrow_mut() = checkpoints.save(1, &x).err();
        x
    })
    .call(tensor![1.0]);
    assert!(failure.take().is_some(), "a traced tensor has no value");
    assert_eq!(checkpoints.load::<Params>(1).unwrap().size(), 8);
}

#[test]
fn early_stopping_goes_on_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("watch.safetensors");
    let losses = [3.0, f64::NAN, 2.0, 1.99, 1.95, 5.0, 0.0];
    let run = |restarts: bool| -> Vec<(bool, bool)> {
        let mut watch = EarlyStopping::new(3).min_delta(0.1);
        let follow = |loss: &f64| {
            if restarts {
                save(&watch, &path).unwrap();
                watch = load(&path).unwrap();
            }
            (watch.update(*loss), watch.should_stop())
        };
        losses.iter().map(follow).collect()
    };
    let expected =
        [(true, false), (false, false), (true, false), (false, false), (false, false), (false, true), (true, false)];
    assert_eq!(run(false), expected);
    assert_eq!(run(true), expected);
    assert_eq!(EarlyStopping::new(0).best(), f64::INFINITY);
}

#[test]
fn means() {
    let mean = Mean::new();
    assert!(mean.value().item::<f32>().is_nan());
    let mean = mean.add(&tensor![1, 2, 3]).add(&tensor![[true, false]]).add(&Tensor::zeros([0, 4]));
    assert_eq!(mean.value().item::<f32>(), 7.0 / 5.0);
    let weighted = Mean::new().add_weighted(&tensor![[1.0, 5.0], [2.0, 7.0]], &tensor![true, false]);
    assert_eq!(weighted.value().item::<f32>(), 1.5);
    assert_eq!(weighted.merge(&Mean::new().add(&tensor![4.5])).value().item::<f32>(), 2.5);
    // A mean for each row.
    let rows = vmap(|x: Tensor| Mean::new().add(&x))(tensor![[1.0, 3.0], [5.0, 5.0]]);
    assert_eq!(rows.value().to_vec::<f32>(), [2.0, 5.0]);
}

#[test]
fn calibration() {
    // Half sure of three classes: bins of confidence (0.4, 0.6] and (0.8, 1.0].
    let p = tensor![[0.5, 0.25, 0.25], [0.1, 0.9, 0.0], [0.0, 1.0, 0.0], [0.2, 0.55, 0.25]];
    let labels = tensor![0, 1, 2, 0];
    assert_near(&accuracy(&p, &labels), &tensor![0.5].i(0), 1e-7);
    // |0.5 - 1 + 0.55| / 4 + |0.9 - 1 + 1.0| / 4
    assert_near(&calibration_error(&p, &labels, 5), &tensor![0.2375].i(0), 1e-6);
    let twice = |x: &Tensor| Tensor::stack(&[x.clone(), x.clone()], 0);
    assert_near(&calibration_error(&twice(&p), &twice(&labels), 5), &tensor![0.2375].i(0), 1e-6);
    assert_eq!(calibration_error(&Tensor::zeros([0, 3]), &Tensor::range(0), 5).item::<f32>(), 0.0);
    assert!(message(|| accuracy(&p, &tensor![0, 1])).contains("[2]"));
    assert!(message(|| calibration_error(&p, &labels, 0)).contains("bins"));
}
