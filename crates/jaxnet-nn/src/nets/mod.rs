//! Whole nets, and the blocks that they are made of.

mod pixelcnn;
mod resnet;
mod wavenet;

pub use pixelcnn::{GatedResnet, PixelCnn, PixelCnnSampler, ShiftedConv, down_shift, right_shift};
pub use resnet::{BasicBlock, Bottleneck, ResNet, ResNetFeatures, resnet18, resnet34, resnet50, resnet101};
pub use wavenet::{WaveNet, WaveNetBlock, WaveNetCache, WaveNetSampler, WaveNetWithCache};
