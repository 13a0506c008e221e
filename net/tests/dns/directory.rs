//! A directory that goes away with the test.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

pub struct Directory(pub PathBuf);

impl Directory {
    pub fn new(test: &str) -> Directory {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
        let path = std::env::temp_dir().join(format!("smolkit-dns-{test}-{process}-{count}"));
        fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    pub fn write(&self, file: &str, text: impl AsRef<[u8]>) -> String {
        let path = self.0.join(file);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// As tools do it: nobody sees half a file.
    pub fn replace(&self, file: &str, text: &str) {
        let new = self.write("new", text);
        fs::rename(new, self.0.join(file)).unwrap();
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}
