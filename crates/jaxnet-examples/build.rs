//! Lets the demos and examples find the native libraries of the features `xla` and `torch` when cargo does not run them.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let folders = std::env::var_os("DEP_JAXNET_NATIVE_LIBRARIES").unwrap_or_default();
    for folder in std::env::split_paths(&folders).filter(|folder| !folder.as_os_str().is_empty()) {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{}", folder.display());
    }
}
