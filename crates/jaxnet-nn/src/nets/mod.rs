//! Whole nets, and the blocks that they are made of.

mod resnet;

pub use resnet::{BasicBlock, Bottleneck, ResNet, ResNetFeatures, resnet18, resnet34, resnet50, resnet101};
