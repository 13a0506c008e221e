//! What must not compile, or data would race (FAULTS R21). Each block has a twin in `tests/auto_traits.rs` that shows that
//! the same lines compile with types that may be sent.
//!
//! A value that cannot be sent goes through no channel to another thread:
//!
//! ```compile_fail,E0277
//! let (sender, receiver) = smolkit_sync::channel::unbounded::<std::rc::Rc<u8>>();
//! std::thread::spawn(move || receiver.recv_blocking());
//! ```
//!
//! ```compile_fail,E0277
//! let (sender, mut receiver) = smolkit_sync::mpsc::unbounded::<std::rc::Rc<u8>>();
//! std::thread::spawn(move || receiver.recv_blocking());
//! ```
//!
//! ```compile_fail,E0277
//! let mutex: &'static _ = Box::leak(Box::new(std::sync::Mutex::new(1)));
//! let (sender, mut receiver) = smolkit_sync::mpsc::bounded(1);
//! sender.try_send(mutex.lock().unwrap()).unwrap();
//! std::thread::spawn(move || receiver.recv_blocking());
//! ```
//!
//! ```compile_fail,E0277
//! let (sender, receiver) = smolkit_sync::oneshot::channel::<std::rc::Rc<u8>>();
//! std::thread::spawn(move || receiver.recv_blocking());
//! ```
//!
//! ```compile_fail,E0277
//! let (sender, receiver) = smolkit_sync::oneshot::channel::<std::rc::Rc<u8>>();
//! std::thread::spawn(move || drop(sender.send(std::rc::Rc::new(1))));
//! ```
//!
//! ```compile_fail,E0277
//! let (sender, receiver) = smolkit_sync::oneshot::channel::<std::rc::Rc<u8>>();
//! std::thread::scope(|scope| drop(scope.spawn(|| sender.is_closed())));
//! ```
//!
//! Nor does a sender of what lives for ever send what does not:
//!
//! ```compile_fail,E0597
//! let (sender, receiver) = smolkit_sync::oneshot::channel::<&'static u8>();
//! let short = 1;
//! sender.send(&short);
//! drop(short);
//! std::thread::spawn(move || receiver.recv_blocking());
//! ```
//!
//! ```compile_fail,E0277
//! let (sender, receiver) = smolkit_sync::watch::channel(std::rc::Rc::new(1));
//! std::thread::spawn(move || drop(receiver));
//! ```
//!
//! ```compile_fail,E0277
//! let (sender, receiver) = smolkit_sync::broadcast::broadcast::<std::rc::Rc<u8>>(1);
//! std::thread::spawn(move || drop(receiver));
//! ```
//!
//! A value that cannot be shared is not shared by watching it:
//!
//! ```compile_fail,E0277
//! let (sender, receiver) = smolkit_sync::watch::channel(std::cell::Cell::new(1));
//! std::thread::spawn(move || receiver.borrow().set(2));
//! ```
//!
//! A reference into a channel or a lock of the system's stays on its thread, and out of tasks that move:
//!
//! ```compile_fail,E0277
//! let (sender, receiver) = smolkit_sync::watch::channel(1);
//! std::thread::scope(|scope| {
//!     let value = receiver.borrow();
//!     scope.spawn(move || drop(value));
//! });
//! ```
//!
//! ```compile_fail,E0277
//! let (sender, mut receiver) = smolkit_sync::watch::channel(1);
//! smolkit_runtime::spawn(async move {
//!     let value = receiver.borrow();
//!     std::future::pending::<()>().await;
//!     drop(value);
//! });
//! ```
//!
//! ```compile_fail,E0277
//! let mutex: &'static _ = Box::leak(Box::new(std::sync::Mutex::new(1)));
//! let (sender, receiver) = smolkit_sync::channel::unbounded();
//! sender.try_send(mutex.lock().unwrap()).unwrap();
//! std::thread::spawn(move || receiver.recv_blocking());
//! ```
//!
//! ```compile_fail,E0277
//! let mutex: &'static _ = Box::leak(Box::new(smolkit_sync::lock::Mutex::new(std::rc::Rc::new(1))));
//! std::thread::spawn(move || drop(mutex.lock_blocking()));
//! ```
//!
//! ```compile_fail,E0277
//! let lock: &'static _ = Box::leak(Box::new(smolkit_sync::lock::RwLock::new(std::cell::Cell::new(1))));
//! std::thread::spawn(move || lock.read_blocking().set(2));
//! ```
//!
//! ```compile_fail,E0277
//! let cell: &'static _ = Box::leak(Box::new(smolkit_sync::OnceCell::<std::rc::Rc<u8>>::new()));
//! std::thread::spawn(move || drop(cell.get().cloned()));
//! ```
//!
//! ```compile_fail,E0277
//! let flights: &'static _ = Box::leak(Box::new(smolkit_sync::SingleFlight::<u8, std::rc::Rc<u8>>::new()));
//! std::thread::spawn(move || flights.in_flight());
//! ```
//!
//! Neither does a tag of an event (RUSTSEC-2026-0221):
//!
//! ```compile_fail,E0277
//! let event = smolkit_sync::event::Event::<std::rc::Rc<u8>>::with_tag();
//! let listener = event.listen();
//! std::thread::spawn(move || drop(listener));
//! ```
