//! One engine per group: an OS file lock in a folder beside the log. It ends with the process, however that ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use crate::stream::{StreamError, StreamErrorKind};

/// Held while an engine reads for a group.
#[derive(Debug)]
pub(super) struct GroupLock(#[expect(dead_code, reason = "held for what its end does")] File);

impl GroupLock {
    /// Takes the lock of a group of the log at that path, or says who has it.
    pub fn take(log: &Path, group: &str) -> Result<GroupLock, StreamError> {
        let path = place(log, group);
        let failed = |error: std::io::Error| StreamError {
            kind: StreamErrorKind::Denied,
            message: format!("can't lock group `{group}` at `{}`: {error}", path.display()),
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let mut options = OpenOptions::new();
        let mut file = options
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {
                // Who has it, for the message above; nothing depends on it.
                let written = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
                written.map_err(failed)?;
                Ok(GroupLock(file))
            }
            Err(TryLockError::WouldBlock) => Err(taken(log, group, &mut file)),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}

fn taken(log: &Path, group: &str, file: &mut File) -> StreamError {
    let mut holder = String::new();
    let read = file.rewind().and_then(|()| file.take(20).read_to_string(&mut holder));
    let who = match read {
        Ok(1..) => format!(" (process {})", holder.trim()),
        _ => String::new(),
    };
    let message = format!(
        "group `{group}` of `{}` is read by another engine{who}: stop that one, or give this one a group of its own",
        log.display()
    );
    StreamError { kind: StreamErrorKind::Fatal, message }
}

fn place(log: &Path, group: &str) -> PathBuf {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let name = match group.len() <= 100 && group.chars().all(plain) {
        true => format!("{group}.lock"),
        false => format!("{}.lock", blake3::hash(group.as_bytes()).to_hex()),
    };
    let mut folder = log.as_os_str().to_owned();
    folder.push(".groups");
    Path::new(&folder).join(name)
}
