//! The allocator of every program that uses this crate. Under load, requests take memory in one
//! thread and give it back in another, for which glibc's is slow and keeps twice the memory.

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;
