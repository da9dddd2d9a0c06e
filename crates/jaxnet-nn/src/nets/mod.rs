//! Whole nets, and the blocks that they are made of.

mod resnet;
mod wavenet;

pub use resnet::{BasicBlock, Bottleneck, ResNet, ResNetFeatures, resnet18, resnet34, resnet50, resnet101};
pub use wavenet::{WaveNet, WaveNetBlock, WaveNetCache, WaveNetSampler, WaveNetWithCache};
