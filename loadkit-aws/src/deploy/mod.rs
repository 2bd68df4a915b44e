//! What a client's build is put into: the code of a function, and a repository of images.

mod code;
mod images;

pub use code::FunctionCode;
pub use images::Images;
