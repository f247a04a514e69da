//! Real servers for the tests, each on a free loopback port and gone with its handle, and a stand-in for Cloudinary.
//!
//! The programs are those that `just setup redis mongod registry` put into `.tools/bin`, or those that
//! `TAJA_TEST_REDIS`, `TAJA_TEST_MONGOD` and `TAJA_TEST_REGISTRY` name, or the first ones on the path.

pub mod cloudinary;
mod mongo;
mod process;
mod redis;
mod registry;

pub use cloudinary::FakeCloudinary;
pub use mongo::MongoServer;
pub use process::free_port;
pub use redis::RedisServer;
pub use registry::RegistryServer;
