//! What is embedded into the program is looked at again when it changes; files that are new would not be noticed otherwise.

fn main() {
    for folder in ["../plugins/templates", "../plugins/sdk", "../wit"] {
        println!("cargo:rerun-if-changed={folder}");
    }
}
